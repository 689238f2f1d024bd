// spearfish-worker's flags: parsed once, immutable after.
#ifndef WORKER_WORKER_OPTIONS_H_
#define WORKER_WORKER_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/bytes.h"
#include "common/base/log.h"
#include "common/expert_cache/record_layout.h"
#include "common/rpc/listener_options.h"

namespace spearfish::worker {

// When the checksums of a segment that was found ready are computed again.
enum class VerifyCacheMode { kOff, kBackground, kBefore };

// What is told of the worker while it runs, and how.
struct ObservationOptions {
  std::optional<uint16_t> metrics_port;
  bool vllm_metrics = false;  // beside our own
  LogFormat log_format = LogFormat::kText;
  bool log_requests = false;
};

struct WorkerOptions {
  std::string model;           // checkpoint folder
  std::string device = "cpu";  // "cpu" or "cuda:N"
  std::string listen = "127.0.0.1:50061";
  ListenerOptions listener;               // its security and limits
  uint64_t vram_budget_bytes = 4 * kGiB;  // dense weights, KV blocks and workspace
  QuantOptions quant;                     // when this worker is the one that populates
  uint32_t dense_bits = 16;       // 16: as in the checkpoint; 8: INT8 with a scale a channel
  std::string served_model_name;  // empty: the folder's name
  uint32_t max_num_seqs = 64;
  uint32_t max_model_len = 0;             // 0: what the checkpoint allows
  uint32_t max_num_batched_tokens = 512;  // of one step
  uint32_t max_prefill_tokens = 2048;     // of one step that borrows soft frames
  double max_coverage = 1.0;              // share of the experts that may be in slots
  double hard_share = 0.5;                // of the slots: never given to KV blocks or prefill
  double promotions_per_layer_token = 1.0;
  std::string heatmap;   // file that says which experts get slots first; empty: evenly
  uint32_t threads = 0;  // 0: all cores
  std::string shm_dir = "/dev/shm";
  std::string cache_file;  // to populate from; empty: quantise the checkpoint
  absl::Duration segment_timeout = absl::InfiniteDuration();  // of waiting for another populator
  VerifyCacheMode verify_cache = VerifyCacheMode::kBackground;
  double memory_floor = 0.05;  // share of memory below which nothing is admitted; 0: no floor
  ObservationOptions observation;
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
