// One dequantised expert as a safetensors file.
#ifndef WORKER_PACK_EXPERT_DUMP_H_
#define WORKER_PACK_EXPERT_DUMP_H_

#include <string>

#include "absl/status/status.h"
#include "common/base/ids.h"
#include "common/expert_cache/cache_view.h"

namespace spearfish::worker {

struct ExpertDumpArgs {
  LayerId layer;
  ExpertId expert;
  std::string path;
};

// Writes gate_proj, up_proj and down_proj as F32 under their names in a checkpoint
// ("model.layers.L.mlp.experts.E.gate_proj.weight"). InvalidArgument for a layer without experts or
// an id out of range.
absl::Status DumpExpert(const CacheView& cache, const ExpertDumpArgs& args);

}  // namespace spearfish::worker

#endif  // WORKER_PACK_EXPERT_DUMP_H_
