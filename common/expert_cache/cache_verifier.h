// Recomputes checksums of a whole cache.
#ifndef COMMON_EXPERT_CACHE_CACHE_VERIFIER_H_
#define COMMON_EXPERT_CACHE_CACHE_VERIFIER_H_

#include <cstdint>
#include <functional>
#include <stop_token>

#include "absl/status/status.h"
#include "common/expert_cache/cache_view.h"

namespace spearfish {

struct VerifyOptions {
  uint32_t num_threads = 0;  // 0 = all cores
  std::stop_token stop;      // asked before each record
};

// (layers checked, layers in all), on the calling thread.
using VerifyProgressFn = std::function<void(uint32_t, uint32_t)>;

// Layer after layer, the records of one on several threads. DataLoss names the first layer whose
// checksum is wrong; Cancelled when stopped.
absl::Status VerifyCache(const CacheView& cache, const VerifyOptions& options,
                         const VerifyProgressFn& progress);

}  // namespace spearfish

#endif  // COMMON_EXPERT_CACHE_CACHE_VERIFIER_H_
