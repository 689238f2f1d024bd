// The regular expressions of tokenizer.json are Oniguruma's; PCRE2 reads nearly the same language.
#ifndef COMMON_TOKENIZER_REGEX_SYNTAX_H_
#define COMMON_TOKENIZER_REGEX_SYNTAX_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spearfish {

// `pattern` in PCRE2's syntax with the meaning it has in Oniguruma: \s is Unicode's White_Space
// (PCRE2's own also takes U+180E). Unimplemented, naming it, for what means something else in
// PCRE2: \w \b \h \K and other rare escapes, sets inside a class ([:alpha:], && and the like), and
// options other than (?i: and (?x:.
absl::StatusOr<std::string> TranslateRegex(absl::string_view pattern);

}  // namespace spearfish

#endif  // COMMON_TOKENIZER_REGEX_SYNTAX_H_
