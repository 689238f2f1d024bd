// Unicode normalisation form C.
#ifndef COMMON_TOKENIZER_NORMALIZER_H_
#define COMMON_TOKENIZER_NORMALIZER_H_

#include <string>

#include "absl/strings/string_view.h"

namespace spearfish {

// `text` must be valid UTF-8. O(n log n) also for long runs of combining marks.
std::string NormalizeNfc(absl::string_view text);

}  // namespace spearfish

#endif  // COMMON_TOKENIZER_NORMALIZER_H_
