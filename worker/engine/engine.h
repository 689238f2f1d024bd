// The scheduler loop of one worker: batches whatever sequences run, one step after the other.
#ifndef WORKER_ENGINE_ENGINE_H_
#define WORKER_ENGINE_ENGINE_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/tokenizer/tokenizer.h"
#include "worker/engine/engine_timings.h"
#include "worker/engine/request.h"
#include "worker/model/model.h"

namespace spearfish::worker {

// Who reads the experts that are not in a slot: decides whether a miss counts as cpu_bytes or as
// link_bytes.
enum class MissReader { kCpu, kLink };

// Create also keeps within the model's own step limits, should those be lower.
struct EngineOptions {
  uint32_t max_num_seqs = 64;               // sequences that run at once
  uint32_t max_num_waiting = 4096;          // sequences that wait; more is ResourceExhausted
  uint32_t max_num_batched_tokens = 512;    // of one step: decode tokens first, then prefill chunks
  uint32_t max_prefill_chunk_tokens = 256;  // of one sequence in one step
  MissReader miss_reader = MissReader::kCpu;
  // Of deadlines, timings and tokens_per_second. Called on the engine thread, by Submit and
  // stats().
  std::function<absl::Time()> clock = [] { return absl::Now(); };

  // InvalidArgument naming the field. A step has to hold one token of every running sequence, so
  // max_num_batched_tokens >= max_num_seqs.
  absl::Status Validate() const;
};

// What runs now, for GetLoads, GetServerInfo and metrics. Taken without stopping the engine.
struct EngineStats {
  uint32_t num_running = 0;
  uint32_t num_waiting = 0;
  uint64_t kv_blocks_used = 0;
  uint64_t kv_blocks_total = 0;
  uint64_t prompt_tokens_total = 0;
  uint64_t generated_tokens_total = 0;
  uint64_t requests_total = 0;
  uint64_t steps_total = 0;
  double tokens_per_second = 0;  // generated, over the last few seconds
  uint64_t expert_hits = 0;
  uint64_t expert_misses = 0;
  // Misses times the bytes of a record, by who reads those (see MissReader). Routed tokens of one
  // step that share a record count it once each.
  uint64_t expert_link_bytes = 0;
  uint64_t expert_cpu_bytes = 0;
};

// Owns the engine thread and the sequences. Submit, Abort, Drain and stats may be called from any
// thread; the sinks run on the engine thread. Model and tokenizer must outlive it.
class Engine {
 public:
  static absl::StatusOr<std::unique_ptr<Engine>> Create(const EngineOptions& options, Model& model,
                                                        const Tokenizer& tokenizer);
  virtual ~Engine() = default;  // fails what is live with Unavailable, then joins

  // Checks the request against the model (InvalidArgument naming field, value and bound: empty
  // prompt, id >= vocabulary, prompt that leaves no room for a token, parameters out of range; see
  // validate_request.h),
  // AlreadyExists for a live request_id, ResourceExhausted when the queue is full, Unavailable when
  // draining. After OK the sink hears of the request until its end.
  virtual absl::Status Submit(GenerationRequest request, EventSink sink) = 0;

  // Ends a live request: its sequences finish with kAborted within one step and free their blocks.
  // Returns whether it was live. Idempotent.
  virtual bool Abort(absl::string_view request_id) = 0;

  // Stops admitting; what runs and waits goes on.
  virtual void Drain() = 0;
  virtual bool draining() const = 0;
  // Waits until nothing is live; false when the time has passed first.
  virtual bool WaitIdle(absl::Duration timeout) = 0;

  virtual EngineStats stats() const = 0;
  // Live: valid and counting as long as the engine.
  virtual const EngineTimings& timings() const = 0;
};

}  // namespace spearfish::worker

#endif  // WORKER_ENGINE_ENGINE_H_
