#include "server/dispatch/retry.h"

#include <algorithm>

namespace spearfish::server {

absl::Duration RetryPause(const RetryOptions& options, uint32_t tries, double random) {
  absl::Duration pause = options.first_pause;
  for (uint32_t i = 1; i < tries && pause < options.longest_pause; ++i) pause *= 2;
  return std::min(pause, options.longest_pause) * (0.5 + random / 2);
}

void RetryBudget::CountRequest() { left_ = std::min(burst_, left_ + share_); }

bool RetryBudget::TakeRetry() {
  if (left_ < 1) return false;
  left_ -= 1;
  return true;
}

}  // namespace spearfish::server
