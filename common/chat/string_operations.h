// Python's string methods, which filters share.
#ifndef COMMON_CHAT_STRING_OPERATIONS_H_
#define COMMON_CHAT_STRING_OPERATIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/chat/budget.h"
#include "common/chat/value.h"

namespace spearfish::chat {

enum class From : uint8_t { kLeft, kRight };

// Parts between `separator`, at most `limit` cuts; negative: no limit. InvalidArgument when it is
// empty.
absl::StatusOr<Value> Split(absl::string_view text, absl::string_view separator, int64_t limit,
                            From from, Budget& budget);
// Words between white space of any length.
absl::StatusOr<Value> SplitWords(absl::string_view text, int64_t limit, From from, Budget& budget);

// At most `limit` times; negative: all.
absl::StatusOr<Value> Replace(absl::string_view text, absl::string_view what, absl::string_view by,
                              int64_t limit, Budget& budget);

// `separator` between the items' texts. `only_strings`: as str.join, which takes no others.
absl::StatusOr<Value> Join(const std::vector<Value>& items, absl::string_view separator,
                           bool only_strings, Budget& budget);

// Changes of case. Unimplemented beyond ASCII, where letters would need Unicode's tables.
enum class Case : uint8_t { kLower, kUpper, kCapitalize };
absl::StatusOr<Value> ChangeCase(absl::string_view text, Case to, Budget& budget);

}  // namespace spearfish::chat

#endif  // COMMON_CHAT_STRING_OPERATIONS_H_
