#include "common/expert_cache/cache_verifier.h"

#include <vector>

#include "common/base/status_macros.h"
#include "common/expert_cache/cache_image.h"
#include "common/expert_cache/parallel_tasks.h"

namespace spearfish {
namespace {

absl::Status VerifyOne(const CacheView& cache, LayerId layer, const VerifyOptions& options) {
  std::vector<uint64_t> checksums(cache.num_experts());
  const auto hash = [&](uint32_t expert) -> absl::Status {
    if (options.stop.stop_requested()) return absl::CancelledError("verification stopped");
    checksums[expert] = RecordChecksum(cache.Record(layer, ExpertId{expert}));
    return absl::OkStatus();
  };
  SF_RETURN_IF_ERROR(RunTasks(cache.num_experts(), options.num_threads, hash));
  return cache.CompareLayer(layer, CombineRecordChecksums(checksums));
}

}  // namespace

absl::Status VerifyCache(const CacheView& cache, const VerifyOptions& options,
                         const VerifyProgressFn& progress) {
  uint32_t done = 0;
  for (uint32_t layer = 0; layer < cache.num_layers(); ++layer) {
    if (!cache.has_layer(LayerId{layer})) continue;
    SF_RETURN_IF_ERROR(VerifyOne(cache, LayerId{layer}, options));
    ++done;
    if (progress) progress(done, cache.num_moe_layers());
  }
  return absl::OkStatus();
}

}  // namespace spearfish
