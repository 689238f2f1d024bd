// An end that no change of the host's time moves: for waits, where absl::Time is for what others
// are told or have said.
#ifndef COMMON_BASE_COUNTDOWN_H_
#define COMMON_BASE_COUNTDOWN_H_

#include <algorithm>
#include <chrono>

#include "absl/time/time.h"

namespace spearfish {

class Countdown {
 public:
  explicit Countdown(absl::Duration timeout) : begin_(Clock::now()), timeout_(timeout) {}

  // Zero when it has passed; infinite for an infinite timeout.
  absl::Duration left() const {
    return std::max(timeout_ - absl::FromChrono(Clock::now() - begin_), absl::ZeroDuration());
  }
  bool passed() const { return left() == absl::ZeroDuration(); }

 private:
  using Clock = std::chrono::steady_clock;

  Clock::time_point begin_;
  absl::Duration timeout_;
};

}  // namespace spearfish

#endif  // COMMON_BASE_COUNTDOWN_H_
