// The engine without its thread: requests in, one step after the other, events out.
#ifndef WORKER_ENGINE_ENGINE_CORE_H_
#define WORKER_ENGINE_ENGINE_CORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/tokenizer/tokenizer.h"
#include "worker/engine/engine.h"
#include "worker/engine/engine_timings.h"
#include "worker/engine/live_request.h"
#include "worker/engine/prefill_borrowing.h"
#include "worker/engine/prepared_request.h"
#include "worker/engine/scheduler.h"
#include "worker/engine/sequence.h"
#include "worker/engine/step_builder.h"
#include "worker/engine/step_reader.h"
#include "worker/kv/block_allocator.h"
#include "worker/model/model.h"

namespace spearfish::worker {

// Sums since the start.
struct EngineTotals {
  uint64_t prompt_tokens = 0;
  uint64_t generated_tokens = 0;
  uint64_t requests = 0;
  uint64_t steps = 0;
  ExpertUsage experts;
};

// Owns the sequences, their KV blocks and the queues; one thread calls everything, the sinks run
// inside these calls. Model and tokenizer must outlive it.
// Invariant between calls: a sequence that lives is in running_, in waiting_, or waits for its
// request's prompt; only those in running_ hold blocks.
class EngineCore {
 public:
  // Called with a request's id right before its last event: from then on the id is free.
  using IdReleased = std::function<void(const std::string& request_id)>;

  EngineCore(const EngineOptions& options, Model& model, const Tokenizer& tokenizer,
             IdReleased id_released);

  // The id is of no live request.
  void Add(std::unique_ptr<const PreparedRequest> prepared, EventSink sink, absl::Time submitted);
  // Finishes what is left of the request with kAborted. Nothing happens if it is over already.
  void Abort(const std::string& request_id);
  // Fails the requests whose deadline has come.
  void ExpireDeadlines(absl::Time now);
  void FailAll(const absl::Status& status);

  // Settles who runs in the next step. Something does whenever a request is live.
  void ScheduleStep();
  // Runs it and sends its events.
  void RunStep();
  // When no request is live: gives back what steps had taken from the experts and lets the model
  // go on with its copies. True while there are any: call again soon.
  bool Rest();

  uint32_t num_live_requests() const { return static_cast<uint32_t>(live_.size()); }
  uint32_t num_running() const { return static_cast<uint32_t>(running_.size()); }
  uint32_t num_waiting() const { return num_unfinished_ - num_running(); }
  const BlockAllocator& blocks() const { return blocks_; }
  const EngineTotals& totals() const { return totals_; }
  const EngineTimings& timings() const { return timings_; }  // any thread

 private:
  using Queue = std::set<Sequence*, ComesBefore>;

  enum class Waiting { kInclude, kLeaveOut };
  void CollectCandidates(Waiting waiting);
  SchedulerState state() const;
  // Fills schedule_. Returns the rows that it needs by borrowing, 0 if it needs none.
  uint32_t PlanStep();
  // Preempts, admits and takes KV blocks as schedule_ says.
  void TakePlaces();
  // Once the blocks are taken: what is needed for the step comes before what makes it larger.
  void BorrowFrames(uint32_t num_rows);
  void ReturnFrames();

  void Apply(const StepPiece& piece, const StepReader& reader);
  void CollectPromptLogprobs(const StepPiece& piece, const StepReader& reader);
  void FinishPrompt(Sequence& first);
  // Takes up what was generated elsewhere, finishes what was over; the rest joins the queue.
  void Begin(LiveRequest& live);
  void ApplyToken(const StepPiece& piece, const StepReader& reader);

  // Both leave the sequences they end destroyed, and the request with its last one.
  void Finish(Sequence& sequence, const SequenceEnd& end);
  void Fail(LiveRequest& live, const absl::Status& status);
  void Leave(Sequence& sequence);  // gives up its place and its blocks
  // Frees the id and takes the request out of the books.
  std::unique_ptr<LiveRequest> Retire(LiveRequest& live);

  Model& model_;
  const Tokenizer& tokenizer_;
  const IdReleased id_released_;
  const SchedulerLimits limits_;
  const PrefillBorrowing borrowing_;
  const Scheduler scheduler_;
  const ExpertAccounting experts_;
  const std::function<absl::Time()> clock_;

  BlockAllocator blocks_;
  absl::flat_hash_map<std::string, std::unique_ptr<LiveRequest>> live_;
  std::set<std::pair<absl::Time, LiveRequest*>> deadlines_;  // the finite ones
  Queue running_;
  Queue waiting_;
  uint32_t num_unfinished_ = 0;  // sequences of live_
  uint64_t next_arrival_ = 0;
  uint32_t granted_rows_ = 0;  // of a step by borrowing; 0 when nothing is borrowed
  EngineTotals totals_;
  EngineTimings timings_;
  absl::Time now_ = absl::InfinitePast();  // when the last step ended

  // Of the step being made; kept for their capacity.
  std::vector<Sequence*> candidates_;
  std::vector<SequenceLoad> loads_;
  uint32_t num_running_candidates_ = 0;  // the first ones
  Schedule schedule_;
  Schedule borrowed_schedule_;
  StepBuilder builder_;
  StepOutput output_;
};

}  // namespace spearfish::worker

#endif  // WORKER_ENGINE_ENGINE_CORE_H_
