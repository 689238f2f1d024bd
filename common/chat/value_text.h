// Values as text: Python's str() and repr().
#ifndef COMMON_CHAT_VALUE_TEXT_H_
#define COMMON_CHAT_VALUE_TEXT_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/chat/budget.h"
#include "common/chat/value.h"

namespace spearfish::chat {

// Appends str(value): what {{ value }} writes. Unimplemented for what has no text that a prompt
// would want: functions, the loop, namespaces, and text beyond ASCII inside of lists and mappings,
// where Python's answer needs tables of printable characters.
absl::Status AppendText(const Value& value, Budget& budget, std::string& out);
absl::StatusOr<std::string> ToText(const Value& value, Budget& budget);

// repr(float): the shortest digits that read back the same.
std::string FloatText(double value);

}  // namespace spearfish::chat

#endif  // COMMON_CHAT_VALUE_TEXT_H_
