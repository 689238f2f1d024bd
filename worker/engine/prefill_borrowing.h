// Decides when a step takes frames from the experts for a larger chunk of prefill.
#ifndef WORKER_ENGINE_PREFILL_BORROWING_H_
#define WORKER_ENGINE_PREFILL_BORROWING_H_

#include <cstdint>

#include "worker/engine/scheduler.h"

namespace spearfish::worker {

// The rows of a planned step.
struct StepRows {
  uint32_t decode = 0;
  uint32_t prefill = 0;

  uint32_t total() const { return decode + prefill; }
};
StepRows CountRows(const Schedule& schedule);

struct BorrowingState {
  StepRows base;              // of the next step with nothing borrowed
  StepRows borrowed;          // of the next step with all that can be borrowed
  uint32_t granted_rows = 0;  // that steps may have now by borrowing; 0 when nothing is borrowed
};

// Pure: the same state gives the same decision.
//
// Why at all: a chunk of some hundred tokens already touches nearly every expert once, so a long
// chunk costs the link about as much time as a short one. A prompt in chunks twice as long crosses
// the link half as often. The frames hold the coldest of the residents, and decode tokens ride
// along in the same steps.
//
// Borrowing begins when the prompts have more left than one base step holds, and at least twice
// what it would compute of them: below, reloading the frames costs more than the steps saved. Once
// the frames are taken, it goes on until one base step can compute the rest.
class PrefillBorrowing {
 public:
  // Rows of the largest step without and with borrowing. No more with than without: never borrows.
  PrefillBorrowing(uint32_t base_rows, uint32_t max_rows)
      : base_rows_(base_rows), max_rows_(max_rows) {}

  bool possible() const { return max_rows_ > base_rows_; }
  uint32_t max_rows() const { return max_rows_; }

  // Rows that the next step should have by borrowing; 0: it needs no borrowed frames, and what is
  // borrowed goes back.
  uint32_t RowsToBorrow(const BorrowingState& state) const;

 private:
  const uint32_t base_rows_;
  const uint32_t max_rows_;
};

}  // namespace spearfish::worker

#endif  // WORKER_ENGINE_PREFILL_BORROWING_H_
