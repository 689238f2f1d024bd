// The text of one line of the log. Pure.
#ifndef COMMON_BASE_LOG_LINE_H_
#define COMMON_BASE_LOG_LINE_H_

#include <cstdint>
#include <span>
#include <string>
#include <variant>

#include "absl/strings/string_view.h"

namespace spearfish {

// Something that a machine should find in a line: a request's id, a count, milliseconds. Keys are
// lower_snake. An empty text or a NaN is left out: the line has no such
// thing.
struct LogField {
  absl::string_view key;
  std::variant<absl::string_view, int64_t, double> value;
};

// "message key=value key="a value"": what is not printable ASCII is escaped, so that no value can
// begin a line of its own.
std::string TextLine(absl::string_view message, std::span<const LogField> fields);

// The members of a JSON object, without braces: "process":"...","message":"...", then the fields.
// Bytes that are no UTF-8 become U+FFFD.
std::string JsonMembers(absl::string_view process, absl::string_view message,
                        std::span<const LogField> fields);

}  // namespace spearfish

#endif  // COMMON_BASE_LOG_LINE_H_
