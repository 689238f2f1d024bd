// The alphabet of byte-level BPE: every byte as one printable character, so that vocabularies can
// be written as text. Bytes that are printable in Latin-1 stand for themselves; the other 68 are
// U+0100 and up, in order (a space is U+0120).
#ifndef COMMON_TOKENIZER_BYTE_LEVEL_H_
#define COMMON_TOKENIZER_BYTE_LEVEL_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace spearfish {

// Raw bytes written in the alphabet.
std::string BytesToAlphabet(absl::string_view bytes);

// The bytes that `text` writes; nullopt if it holds a character outside the alphabet.
std::optional<std::string> AlphabetToBytes(absl::string_view text);

}  // namespace spearfish

#endif  // COMMON_TOKENIZER_BYTE_LEVEL_H_
