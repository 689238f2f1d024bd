// When a request that failed is tried again. Pure: no gRPC, no clock, no lock.
#ifndef SERVER_DISPATCH_RETRY_H_
#define SERVER_DISPATCH_RETRY_H_

#include <cstdint>

#include "absl/time/time.h"

namespace spearfish::server {

struct RetryOptions {
  absl::Duration first_pause = absl::Milliseconds(10);
  absl::Duration longest_pause = absl::Milliseconds(200);
  // Of all pauses together, since the last message that reached the client: so long a request waits
  // for a worker while none is ready.
  absl::Duration patience = absl::Milliseconds(700);
  // Retries that all requests together may make: each request adds `budget_share`, each retry takes
  // 1, and at most `budget_burst` are saved up. Resumptions are not counted.
  double budget_share = 0.2;
  double budget_burst = 1000;
};

// Before try number `tries` + 1: between half and all of a pause that doubles from try to try.
// `random` is uniform in [0, 1).
absl::Duration RetryPause(const RetryOptions& options, uint32_t tries, double random);

// Bounds what retries add to the load when everything fails. A value: its owner locks.
class RetryBudget {
 public:
  explicit RetryBudget(const RetryOptions& options)
      : share_(options.budget_share), burst_(options.budget_burst), left_(options.budget_burst) {}

  void CountRequest();
  // False when there is none left.
  bool TakeRetry();

 private:
  double share_;
  double burst_;
  double left_;
};

}  // namespace spearfish::server

#endif  // SERVER_DISPATCH_RETRY_H_
