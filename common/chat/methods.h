// Methods of strings and mappings.
#ifndef COMMON_CHAT_METHODS_H_
#define COMMON_CHAT_METHODS_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/chat/budget.h"
#include "common/chat/signature.h"
#include "common/chat/value.h"

namespace spearfish::chat {

// Whether any type has it, for refusing a template while it is compiled.
bool IsSupportedMethod(absl::string_view name);
bool IsSupportedMethodOf(const Value& object, absl::string_view name);
// Whether Python's type has it, supported or not.
bool IsPythonMethodOf(const Value& object, absl::string_view name);

// object.name(arguments). Unimplemented when there is no such method, or none that is supported.
absl::StatusOr<Value> CallMethod(const Value& object, absl::string_view name,
                                 const Arguments& arguments, Budget& budget);

}  // namespace spearfish::chat

#endif  // COMMON_CHAT_METHODS_H_
