// Fills the records of an expert cache from a checkpoint.
#ifndef COMMON_EXPERT_CACHE_CACHE_BUILDER_H_
#define COMMON_EXPERT_CACHE_CACHE_BUILDER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "absl/status/statusor.h"
#include "common/base/ids.h"
#include "common/expert_cache/cache_plan.h"
#include "common/safetensors/checkpoint.h"

namespace spearfish {

struct BuildProgress {
  uint32_t layers_done = 0;
  uint32_t num_layers = 0;  // MoE layers
};
// Called on the thread that builds.
using BuildProgressFn = std::function<void(const BuildProgress&)>;

// Packs every expert of `layer` into `records` (plan.layer_bytes()) with `num_threads` threads
// (0 = all cores) and returns the layer's checksum. On an error, that of the first bad expert found
// (naming layer, expert, projection and index), the records are unspecified.
absl::StatusOr<uint64_t> PackLayer(const Checkpoint& checkpoint, const CachePlan& plan,
                                   LayerId layer, uint32_t num_threads,
                                   std::span<std::byte> records);

}  // namespace spearfish

#endif  // COMMON_EXPERT_CACHE_CACHE_BUILDER_H_
