// Keeps requests away from a worker that fails them, and tries it again now and then.
#ifndef SERVER_DISPATCH_CIRCUIT_BREAKER_H_
#define SERVER_DISPATCH_CIRCUIT_BREAKER_H_

#include <cstdint>

#include "absl/time/time.h"

namespace spearfish::server {

struct CircuitBreakerOptions {
  uint32_t failures_to_open = 3;  // in a row
  absl::Duration first_open = absl::Seconds(1);
  absl::Duration longest_open = absl::Seconds(30);  // doubles from first_open each time it fails
};

// Closed: everything passes. Open: nothing does, for a time. Half-open: one request passes as a
// trial, which closes or opens it again. A value: its owner locks, and passes the time.
class CircuitBreaker {
 public:
  enum class State { kClosed, kOpen, kHalfOpen };

  explicit CircuitBreaker(const CircuitBreakerOptions& options)
      : options_(options), open_for_(options.first_open) {}

  State state(absl::Time now) const;
  bool Allows(absl::Time now) const;

  // A request goes to the worker (even if Allows says no: the caller had no other). True: it is the
  // trial, until Succeeded, Failed or Abandoned is said of it.
  bool Started(absl::Time now);
  void Succeeded();
  void Failed(absl::Time now);
  // The trial ended in a way that tells nothing of the worker.
  void Abandoned() { trial_runs_ = false; }

 private:
  void Open(absl::Time now);

  CircuitBreakerOptions options_;
  uint32_t failures_ = 0;  // in a row, while closed
  bool open_ = false;      // open or half-open
  bool trial_runs_ = false;
  absl::Time open_until_ = absl::InfinitePast();
  absl::Duration open_for_;  // next time
};

}  // namespace spearfish::server

#endif  // SERVER_DISPATCH_CIRCUIT_BREAKER_H_
