// Operators on values, as Python has them; what Python has beyond this is refused.
#ifndef COMMON_CHAT_OPERATORS_H_
#define COMMON_CHAT_OPERATORS_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/chat/budget.h"
#include "common/chat/value.h"

namespace spearfish::chat {

// + - * / // % on numbers, + on strings and on lists.
absl::StatusOr<Value> Arithmetic(absl::string_view op, const Value& left, const Value& right,
                                 Budget& budget);

// a ~ b: both as text.
absl::StatusOr<Value> Concatenate(const Value& left, const Value& right, Budget& budget);

// == != < <= > >= in, "not in".
absl::StatusOr<bool> Compare(absl::string_view op, const Value& left, const Value& right,
                             Budget& budget);

absl::StatusOr<Value> Negate(const Value& value);

}  // namespace spearfish::chat

#endif  // COMMON_CHAT_OPERATORS_H_
