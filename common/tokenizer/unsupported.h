// The error for a tokenizer.json that needs what this tokenizer does not do.
#ifndef COMMON_TOKENIZER_UNSUPPORTED_H_
#define COMMON_TOKENIZER_UNSUPPORTED_H_

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace spearfish {

// `path` is the field, `what` its value.
inline absl::Status Unsupported(absl::string_view path, absl::string_view what) {
  return absl::UnimplementedError(
      absl::StrCat("unsupported in tokenizer.json: ", path, " is ", what,
                   "; use a model with a byte-level BPE tokenizer, or send token ids"));
}

}  // namespace spearfish

#endif  // COMMON_TOKENIZER_UNSUPPORTED_H_
