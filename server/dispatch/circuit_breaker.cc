#include "server/dispatch/circuit_breaker.h"

#include <algorithm>

namespace spearfish::server {

CircuitBreaker::State CircuitBreaker::state(absl::Time now) const {
  if (!open_) return State::kClosed;
  return now < open_until_ ? State::kOpen : State::kHalfOpen;
}

bool CircuitBreaker::Allows(absl::Time now) const {
  const State now_state = state(now);
  return now_state == State::kClosed || (now_state == State::kHalfOpen && !trial_runs_);
}

bool CircuitBreaker::Started(absl::Time now) {
  if (state(now) != State::kHalfOpen || trial_runs_) return false;
  trial_runs_ = true;
  return true;
}

void CircuitBreaker::Succeeded() {
  failures_ = 0;
  open_ = false;
  trial_runs_ = false;
  open_for_ = options_.first_open;
}

void CircuitBreaker::Failed(absl::Time now) {
  switch (state(now)) {
    case State::kOpen:  // of a request that began before it opened: known already
      return;
    case State::kHalfOpen:
      Open(now);
      return;
    case State::kClosed:
      if (++failures_ >= options_.failures_to_open) Open(now);
      return;
  }
}

void CircuitBreaker::Open(absl::Time now) {
  failures_ = 0;
  open_ = true;
  trial_runs_ = false;
  open_until_ = now + open_for_;
  open_for_ = std::min(open_for_ * 2, options_.longest_open);
}

}  // namespace spearfish::server
