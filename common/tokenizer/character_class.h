// The character classes that decide where an added token counts and what it takes along.
#ifndef COMMON_TOKENIZER_CHARACTER_CLASS_H_
#define COMMON_TOKENIZER_CHARACTER_CLASS_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace spearfish {

// Word characters are letters, marks, decimal and letter numbers, connectors, circled letters and
// the two joiners (Unicode's definition of \w). `text` must be valid UTF-8.
bool StartsWithWordCharacter(absl::string_view text);
bool EndsWithWordCharacter(absl::string_view text);

// Bytes of Unicode white space that `text` (valid UTF-8) starts or ends with.
size_t LeadingWhiteSpace(absl::string_view text);
size_t TrailingWhiteSpace(absl::string_view text);

}  // namespace spearfish

#endif  // COMMON_TOKENIZER_CHARACTER_CLASS_H_
