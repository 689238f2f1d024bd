// Tokens per second over the last few seconds.
#ifndef WORKER_ENGINE_TOKEN_RATE_H_
#define WORKER_ENGINE_TOKEN_RATE_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"

namespace spearfish::worker {

// A sliding window in buckets: no allocation, no clock of its own. Not thread-safe. A time earlier
// than one seen before counts as that one.
class TokenRate {
 public:
  static constexpr absl::Duration kWindow = absl::Seconds(5);

  void Add(absl::Time now, uint64_t tokens);
  // Of the window that ends now: 0 after a window without tokens. While fewer seconds than a window
  // have passed since the first token, over those; never over less than one bucket.
  double TokensPerSecond(absl::Time now);

 private:
  static constexpr size_t kBuckets = 50;

  void Advance(absl::Time now);

  std::array<uint64_t, kBuckets> buckets_{};
  int64_t newest_ = 0;  // number of the newest bucket since the epoch
  absl::Time first_ = absl::InfiniteFuture();
  uint64_t sum_ = 0;
};

}  // namespace spearfish::worker

#endif  // WORKER_ENGINE_TOKEN_RATE_H_
