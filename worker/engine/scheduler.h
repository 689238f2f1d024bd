// Decides what one step computes.
#ifndef WORKER_ENGINE_SCHEDULER_H_
#define WORKER_ENGINE_SCHEDULER_H_

#include <cstdint>
#include <span>
#include <vector>

namespace spearfish::worker {

struct SchedulerLimits {
  uint32_t max_num_seqs = 1;
  uint32_t max_num_batched_tokens = 1;  // at least max_num_seqs
  uint32_t max_prefill_chunk_tokens = 1;
  uint32_t block_tokens = 1;
};

// One sequence as the policy sees it.
struct SequenceLoad {
  uint32_t num_tokens = 0;    // prompt and generated
  uint32_t num_computed = 0;  // of them, in the KV cache; less than num_tokens
  uint32_t num_blocks = 0;    // held
};

// The running sequences, then the waiting ones that may be admitted (the head of the queue is
// enough), both in order of precedence. Each fits into the KV cache alone.
struct SchedulerState {
  std::span<const SequenceLoad> sequences;
  uint32_t num_running = 0;
  uint32_t num_free_blocks = 0;
  // Rows of a step for which frames are borrowed: takes the place of both limits of tokens if
  // larger, so that one prompt may fill the step.
  uint32_t borrowed_rows = 0;
};

struct ScheduledPiece {
  uint32_t sequence = 0;    // index into SchedulerState::sequences
  uint32_t num_tokens = 0;  // to compute
  uint32_t kv_tokens = 0;   // its block table has to hold so many before the step
};

// Waiting sequences that appear in `pieces` are admitted: always the first ones.
struct Schedule {
  std::vector<ScheduledPiece> pieces;
  uint32_t num_preempted = 0;  // the last ones of the running give up their blocks and wait
};

// Pure: no clock, no lock, no device; the same state gives the same schedule.
//
// 1. Every running sequence that is decoding gets its token. One that needs a block when none is
//    free takes it from the last of the running, which is preempted; the last preempts itself.
// 2. Running prefills go on, in order, with what is left of the step's tokens.
// 3. Waiting sequences are admitted in order, none out of turn. Admission takes the blocks of all
//    of a sequence's tokens, so that a prefill never runs short in the middle, and leaves one free
//    block for each sequence that runs, so that it is not undone at once. Nobody is admitted in a
//    step that preempts.
//
// The first in precedence is never preempted, so it always comes to its end: no livelock.
class Scheduler {
 public:
  explicit Scheduler(const SchedulerLimits& limits);

  // Overwrites `schedule`, whose vector keeps its capacity.
  void Plan(const SchedulerState& state, Schedule& schedule) const;

 private:
  const SchedulerLimits limits_;
};

}  // namespace spearfish::worker

#endif  // WORKER_ENGINE_SCHEDULER_H_
