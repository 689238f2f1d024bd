// Proves, while the pool works, that no step reads a slot that is being written.
#ifndef WORKER_EXPERTS_TABLE_CHECKER_H_
#define WORKER_EXPERTS_TABLE_CHECKER_H_

#include <cstdint>
#include <span>
#include <vector>

#include "worker/experts/frame_arena.h"
#include "worker/experts/residency_policy.h"

namespace spearfish::worker {

// Keeps books of its own from what it is told in the order in which it is enqueued, and ends the
// process (SF_CHECK) at the first breach of the table discipline:
// - no step is enqueued while a table entry leads to a slot whose last write was not of that record
//   or isn't known to have finished, or while an entry's change has not been flushed;
// - no write is submitted into a slot that the table leads to, that has been given away, or that a
//   step or other work already enqueued may use without the copy having waited for it;
// - no frame is given away while the table leads to it or a copy may write it for which the steps'
//   stream does not wait.
// Used by the thread that enqueues; costs a pass over all records a step.
class TableChecker {
 public:
  struct Memory {
    uint64_t base = 0;  // device address of frame 0
    uint64_t frame_bytes = 0;
    uint32_t num_frames = 0;
    std::span<const uint64_t> record_addresses;  // in the cache; the table leads there at first
  };
  explicit TableChecker(const Memory& memory);

  // --- The table ---
  void EntrySet(RecordIndex record, uint64_t address);
  void Flushed();

  // --- The steps' stream. A step's reads are enqueued between the two. ---
  void StepBegins();
  void StepEnds();
  // It waits for the last copy that was submitted into the frame.
  void StepsWaitForLoad(FrameId frame);
  void FrameGivenAway(FrameId frame);
  // Work enqueued so far uses it, later work won't.
  void FrameGivenBack(FrameId frame);

  // --- The copy stream: in order ---
  // Copies submitted from now on wait for all that is enqueued on the steps' stream.
  void CopiesWaitForSteps();
  void LoadSubmitted(FrameId frame, RecordIndex record);
  // The host has seen the end of the oldest copy into the frame.
  void LoadFinished(FrameId frame);

 private:
  static constexpr uint32_t kNobody = ~uint32_t{0};

  struct Frame {
    uint32_t unfinished_writes = 0;
    uint32_t unawaited_writes = 0;  // of them, those that the steps' stream doesn't wait for
    RecordIndex content = kNobody;  // of the last write submitted
    uint64_t last_use = 0;          // point of the steps' stream: uses come before it
    uint32_t num_entries = 0;       // of the table that lead here, flushed or not
    bool given_away = false;
  };

  Frame& At(FrameId frame);
  // The frame that holds the address; nothing for one outside the arena.
  Frame* FrameAt(uint64_t address);

  const Memory memory_;
  std::vector<uint64_t> entries_;  // [num_records], as set last
  std::vector<Frame> frames_;
  bool flushed_ = true;
  bool in_step_ = false;
  // The steps' stream as numbered points; a step's end is one, and so is a frame given back.
  uint64_t point_ = 0;
  uint64_t awaited_point_ = 0;  // by the copy stream
};

}  // namespace spearfish::worker

#endif  // WORKER_EXPERTS_TABLE_CHECKER_H_
