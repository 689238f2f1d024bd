#include "worker/engine/token_rate.h"

#include <algorithm>

namespace spearfish::worker {

void TokenRate::Advance(absl::Time now) {
  const int64_t bucket = (now - absl::UnixEpoch()) / (kWindow / kBuckets);
  if (bucket <= newest_) return;
  const int64_t passed = std::min<int64_t>(bucket - newest_, kBuckets);
  for (int64_t i = 1; i <= passed; ++i) {
    uint64_t& oldest = buckets_[static_cast<size_t>(bucket - passed + i) % kBuckets];
    sum_ -= oldest;
    oldest = 0;
  }
  newest_ = bucket;
}

void TokenRate::Add(absl::Time now, uint64_t tokens) {
  Advance(now);
  if (tokens == 0) return;
  if (sum_ == 0) first_ = now;
  buckets_[static_cast<size_t>(newest_) % kBuckets] += tokens;
  sum_ += tokens;
}

double TokenRate::TokensPerSecond(absl::Time now) {
  Advance(now);
  const absl::Duration span = std::clamp(now - first_, kWindow / kBuckets, kWindow);
  return static_cast<double>(sum_) / absl::ToDoubleSeconds(span);
}

}  // namespace spearfish::worker
