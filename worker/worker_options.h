// spearfish-worker's flags: parsed once, immutable after.
#ifndef WORKER_WORKER_OPTIONS_H_
#define WORKER_WORKER_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/bytes.h"
#include "common/expert_cache/record_layout.h"

namespace spearfish::worker {

struct WorkerOptions {
  std::string model;           // checkpoint folder
  std::string device = "cpu";  // "cpu" or "cuda:N"
  std::string listen = "127.0.0.1:50061";
  uint64_t vram_budget_bytes = 4 * kGiB;  // dense weights, KV blocks and workspace
  QuantOptions quant;                     // when this worker is the one that populates
  std::string served_model_name;          // empty: the folder's name
  uint32_t max_num_seqs = 64;
  uint32_t max_model_len = 0;             // 0: what the checkpoint allows
  uint32_t max_num_batched_tokens = 512;  // of one step
  uint32_t threads = 0;                   // 0: all cores
  std::string shm_dir = "/dev/shm";
  absl::Duration drain_grace = absl::Seconds(30);

  // InvalidArgument naming the flag.
  absl::Status Validate() const;
  std::string ModelName() const;
};

// Fills `options` from the command line. An exit status when the process is to end now: 0 after
// --help and --version, 2 for a usage error, whose text is on stderr.
std::optional<int> ParseWorkerOptions(int argc, const char* const* argv, WorkerOptions& options);

}  // namespace spearfish::worker

#endif  // WORKER_WORKER_OPTIONS_H_
