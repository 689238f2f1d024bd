// Reads the text of a Hugging Face tokenizer.json.
#ifndef COMMON_TOKENIZER_TOKENIZER_JSON_H_
#define COMMON_TOKENIZER_TOKENIZER_JSON_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/tokenizer/tokenizer_spec.h"

namespace spearfish {

// The largest file that is read; the largest known is about a quarter of it.
inline constexpr uint64_t kMostTokenizerJsonBytes = uint64_t{128} << 20;

// What the file says, its parts not yet checked against each other. InvalidArgument for malformed
// JSON and fields of a wrong type, Unimplemented for a component or option outside the list in
// tokenizer.h; both name the field. truncation and padding are for callers of the Python library
// and are not read.
absl::StatusOr<TokenizerSpec> ParseTokenizerJson(absl::string_view json_text);

}  // namespace spearfish

#endif  // COMMON_TOKENIZER_TOKENIZER_JSON_H_
