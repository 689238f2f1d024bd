// UTF-8 steps by the Unicode rule of maximal subparts: each stretch of bytes that starts like a
// character and then breaks off counts as one error.
#ifndef COMMON_TOKENIZER_UTF8_H_
#define COMMON_TOKENIZER_UTF8_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace spearfish {

// U+FFFD, what stands for bytes that are no character.
inline constexpr absl::string_view kReplacementCharacter = "\xEF\xBF\xBD";

enum class Utf8Kind {
  kCharacter,   // one whole character
  kInvalid,     // bytes that no continuation can make a character
  kUnfinished,  // the bytes end inside a character that could still become one
};

struct Utf8Step {
  Utf8Kind kind;
  size_t size;  // bytes: 1 to 4
};

// What non-empty `bytes` start with. kUnfinished always spans all of `bytes`, at most 3.
Utf8Step NextUtf8(absl::string_view bytes);

// How many bytes from the start are valid UTF-8; bytes.size() if all are.
size_t ValidUtf8Prefix(absl::string_view bytes);

// Appends `bytes` to `out` with one U+FFFD for each invalid step. Returns the bytes consumed: all
// but an unfinished character at the end.
size_t AppendLossyUtf8(absl::string_view bytes, std::string& out);

}  // namespace spearfish

#endif  // COMMON_TOKENIZER_UTF8_H_
