// Tests: what stands after `is`.
#ifndef COMMON_CHAT_TESTS_H_
#define COMMON_CHAT_TESTS_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/chat/budget.h"
#include "common/chat/signature.h"
#include "common/chat/value.h"

namespace spearfish::chat {

struct Test {
  absl::string_view name;
  Signature signature;
  absl::StatusOr<bool> (*run)(const Value& input, const BoundArguments& arguments, Budget& budget);
};

// Null: not supported.
const Test* FindTest(absl::string_view name);

}  // namespace spearfish::chat

#endif  // COMMON_CHAT_TESTS_H_
