// What one rendering may cost, so that a hostile template or conversation ends with an error.
#ifndef COMMON_CHAT_BUDGET_H_
#define COMMON_CHAT_BUDGET_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"

namespace spearfish::chat {

// Copying this many bytes of text costs one step.
inline constexpr size_t kBytesPerStep = 16;

// Steps that are left: every expression, statement, item and kBytesPerStep bytes of text costs one.
// What is alive is bounded by what was made, so this bounds memory as well. One thread.
class Budget {
 public:
  explicit Budget(uint64_t steps) : left_(steps) {}

  absl::Status Charge(uint64_t steps) {
    if (steps > left_) {
      left_ = 0;
      return absl::InvalidArgumentError("the template takes too many steps");
    }
    left_ -= steps;
    return absl::OkStatus();
  }
  absl::Status ChargeBytes(size_t bytes) { return Charge(1 + bytes / kBytesPerStep); }

 private:
  uint64_t left_;
};

}  // namespace spearfish::chat

#endif  // COMMON_CHAT_BUDGET_H_
