// Untrusted text inside an error message: quoted, escaped, and cut to a readable length.
#ifndef COMMON_TOKENIZER_QUOTE_H_
#define COMMON_TOKENIZER_QUOTE_H_

#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace spearfish {

inline std::string Quote(absl::string_view text) {
  constexpr size_t kMostBytes = 80;
  const bool cut = text.size() > kMostBytes;
  return absl::StrCat("\"", absl::Utf8SafeCHexEscape(text.substr(0, kMostBytes)),
                      cut ? "...\"" : "\"");
}

}  // namespace spearfish

#endif  // COMMON_TOKENIZER_QUOTE_H_
