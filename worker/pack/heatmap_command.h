// `spearfish-pack heatmap`: records which experts a text's tokens are routed to.
#ifndef WORKER_PACK_HEATMAP_COMMAND_H_
#define WORKER_PACK_HEATMAP_COMMAND_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/expert_cache/record_layout.h"

namespace spearfish::worker {

struct HeatmapOptions {
  std::string checkpoint;
  std::vector<std::string> texts;  // files, UTF-8
  std::string out;
  std::string shm_dir = "/dev/shm";  // of the segment, which is attached or populated
  QuantOptions quant;                // of the segment
  uint64_t max_tokens = 0;           // of all texts together; 0 = all
  uint32_t num_threads = 0;          // 0 = all cores
  uint32_t chunk_tokens = 512;       // of one step
};

// Runs the checkpoint on the CPU device over the texts, each from its beginning, and writes the
// counts. The segment stays, for the worker that will serve the checkpoint.
absl::Status RecordHeatmap(const HeatmapOptions& options);

}  // namespace spearfish::worker

#endif  // WORKER_PACK_HEATMAP_COMMAND_H_
