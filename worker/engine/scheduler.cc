#include "worker/engine/scheduler.h"

#include <algorithm>

#include "common/base/check.h"

namespace spearfish::worker {
namespace {

uint32_t Remaining(const SequenceLoad& load) { return load.num_tokens - load.num_computed; }

bool IsDecoding(const SequenceLoad& load) { return Remaining(load) == 1; }

// One planning round: what is left of the step's tokens and of the free blocks.
class Round {
 public:
  Round(const SchedulerLimits& limits, const SchedulerState& state, Schedule& schedule)
      : limits_(limits),
        state_(state),
        schedule_(schedule),
        tokens_left_(std::max(limits.max_num_batched_tokens, state.borrowed_rows)),
        max_chunk_(std::max(limits.max_prefill_chunk_tokens, state.borrowed_rows)),
        free_blocks_(state.num_free_blocks),
        num_running_(state.num_running) {}

  void Decode() {
    for (uint32_t i = 0; i < num_running_; ++i) {
      const SequenceLoad& load = state_.sequences[i];
      if (!IsDecoding(load)) continue;
      if (!TakeBlocks(i)) return;
      Add(i, 1, load.num_tokens);
    }
  }

  void Prefill() {
    for (uint32_t i = 0; i < num_running_ && tokens_left_ > 0; ++i) {
      const SequenceLoad& load = state_.sequences[i];
      if (IsDecoding(load)) continue;
      SF_CHECK(BlocksFor(load.num_tokens) <= load.num_blocks);
      Add(i, Chunk(load), load.num_tokens);
    }
  }

  void Admit() {
    if (num_running_ < state_.num_running) return;
    for (uint32_t i = state_.num_running; i < state_.sequences.size(); ++i) {
      if (num_running_ == limits_.max_num_seqs || tokens_left_ == 0) return;
      const SequenceLoad& load = state_.sequences[i];
      const uint32_t blocks = BlocksFor(load.num_tokens);
      if (uint64_t{blocks} + num_running_ > free_blocks_) return;
      free_blocks_ -= blocks;
      ++num_running_;
      Add(i, Chunk(load), load.num_tokens);
    }
  }

  uint32_t num_preempted() const {
    return num_running_ < state_.num_running ? state_.num_running - num_running_ : 0;
  }

 private:
  uint32_t BlocksFor(uint32_t tokens) const {
    return (tokens + limits_.block_tokens - 1) / limits_.block_tokens;
  }

  uint32_t Chunk(const SequenceLoad& load) const {
    return std::min({Remaining(load), max_chunk_, tokens_left_});
  }

  void Add(uint32_t sequence, uint32_t num_tokens, uint32_t kv_tokens) {
    schedule_.pieces.push_back({sequence, num_tokens, kv_tokens});
    tokens_left_ -= num_tokens;
  }

  // Preempts from the back until sequence i's tokens fit; false when that took i itself. Those
  // before i are planned already and safe: victims are at i or after it.
  bool TakeBlocks(uint32_t i) {
    const SequenceLoad& load = state_.sequences[i];
    const uint32_t total = BlocksFor(load.num_tokens);
    const uint32_t needed = total > load.num_blocks ? total - load.num_blocks : 0;
    while (free_blocks_ < needed) {
      --num_running_;
      free_blocks_ += state_.sequences[num_running_].num_blocks;
      if (num_running_ == i) return false;
    }
    free_blocks_ -= needed;
    return true;
  }

  const SchedulerLimits& limits_;
  const SchedulerState& state_;
  Schedule& schedule_;
  uint32_t tokens_left_;
  const uint32_t max_chunk_;
  uint32_t free_blocks_;
  uint32_t num_running_;  // less the preempted, plus the admitted
};

}  // namespace

Scheduler::Scheduler(const SchedulerLimits& limits) : limits_(limits) {
  SF_CHECK(limits.max_num_seqs > 0 && limits.max_prefill_chunk_tokens > 0);
  SF_CHECK(limits.block_tokens > 0 && limits.max_num_batched_tokens >= limits.max_num_seqs);
}

void Scheduler::Plan(const SchedulerState& state, Schedule& schedule) const {
  schedule.pieces.clear();
  Round round(limits_, state, schedule);
  round.Decode();
  round.Prefill();
  schedule.num_preempted = round.num_preempted();
  round.Admit();
}

}  // namespace spearfish::worker
