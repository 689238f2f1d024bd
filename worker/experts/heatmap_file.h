// A heatmap: how often each expert of a checkpoint was routed to over some text, as a JSON file.
//
//   { "format": "spearfish-heatmap", "version": 1,
//     "identity": "0123456789abcdef",      first 16 hex digits of the expert cache's identity
//     "model": "qwen3-moe-3m", "tokens": 4096, "moe_layers": 4, "experts": 16,
//     "counts": [[812, 40.5, ...], ...] }  [moe_layers][experts], >= 0, any scale
#ifndef WORKER_EXPERTS_HEATMAP_FILE_H_
#define WORKER_EXPERTS_HEATMAP_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/expert_cache/cache_view.h"

namespace spearfish::worker {

// A quarter of a million experts with ten digits each take 3 MiB.
inline constexpr size_t kMaxHeatmapBytes = size_t{16} << 20;

struct Heatmap {
  std::string identity;
  std::string model_name;
  uint64_t num_tokens = 0;
  uint32_t num_moe_layers = 0;
  uint32_t num_experts = 0;    // per MoE layer
  std::vector<double> counts;  // [num_moe_layers * num_experts]
};

// A heatmap of that cache's checkpoint and shape, all counts zero.
Heatmap EmptyHeatmap(const CacheView& cache);

// InvalidArgument naming the key, its value and what is expected. `what` names the text.
absl::StatusOr<Heatmap> ParseHeatmap(absl::string_view text, absl::string_view what);

// NotFound, PermissionDenied; InvalidArgument for what is no heatmap or larger than
// kMaxHeatmapBytes; each with the remedy.
absl::StatusOr<Heatmap> ReadHeatmap(const std::string& path);

// The file gets its name only when it is whole, and replaces an older one.
absl::Status WriteHeatmap(const std::string& path, const Heatmap& heatmap);

// FailedPrecondition unless it fits the cache: the same numbers of layers and experts, and the same
// identity or, since another quantisation of a model routes nearly alike, the same model name.
absl::Status CheckHeatmap(const Heatmap& heatmap, const CacheView& cache);

}  // namespace spearfish::worker

#endif  // WORKER_EXPERTS_HEATMAP_FILE_H_
