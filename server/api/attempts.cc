#include "server/api/attempts.h"

#include "absl/random/random.h"

namespace spearfish::server {
namespace {

// Without any progress between them: a request that ends its worker must not end them all.
constexpr uint32_t kMaxFailures = 8;

}  // namespace

void Attempts::Progressed() {
  if (num_failures_ == 0 && num_pauses_ == 0) return;
  tried_.clear();
  num_failures_ = 0;
  num_pauses_ = 0;
  paused_ = absl::ZeroDuration();
}

bool Attempts::MayRetry(Kind kind) {
  if (++num_failures_ == kMaxFailures) return false;
  return kind == Kind::kResume || registry_.TakeRetry();
}

std::optional<absl::Duration> Attempts::Pause() {
  thread_local absl::BitGen random;
  const RetryOptions& options = registry_.options().retry;
  if (paused_ >= options.patience) return std::nullopt;
  tried_.clear();  // they may have come back by then
  const absl::Duration pause =
      RetryPause(options, ++num_pauses_, absl::Uniform<double>(random, 0.0, 1.0));
  paused_ += pause;
  return pause;
}

}  // namespace spearfish::server
