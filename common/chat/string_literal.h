// Escapes in a template's string literals, as Python's.
#ifndef COMMON_CHAT_STRING_LITERAL_H_
#define COMMON_CHAT_STRING_LITERAL_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spearfish::chat {

// `body` is what stands between the quotes. An escape that Python does not know stays as it is,
// backslash and all. Unimplemented: octal and \N{...}; InvalidArgument: a broken \x, \u or \U.
absl::StatusOr<std::string> UnescapeString(absl::string_view body);

}  // namespace spearfish::chat

#endif  // COMMON_CHAT_STRING_LITERAL_H_
