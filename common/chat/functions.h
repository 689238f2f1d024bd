// Functions that every template can call.
#ifndef COMMON_CHAT_FUNCTIONS_H_
#define COMMON_CHAT_FUNCTIONS_H_

#include <deque>
#include <functional>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/chat/budget.h"
#include "common/chat/signature.h"
#include "common/chat/value.h"

namespace spearfish::chat {

// What functions reach beyond their arguments. Owned by one rendering.
struct FunctionContext {
  Budget& budget;
  std::deque<Namespace>& namespaces;
  const std::function<absl::Time()>& clock;
  absl::TimeZone zone;
};

bool IsFunction(absl::string_view name);

// raise_exception, strftime_now, namespace, dict, range.
absl::StatusOr<Value> CallFunction(absl::string_view name, const Arguments& arguments,
                                   const FunctionContext& context);

}  // namespace spearfish::chat

#endif  // COMMON_CHAT_FUNCTIONS_H_
