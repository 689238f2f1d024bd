#include "worker/engine/prefill_borrowing.h"

namespace spearfish::worker {

StepRows CountRows(const Schedule& schedule) {
  StepRows rows;
  for (const ScheduledPiece& piece : schedule.pieces) {
    // A prompt's last token alone costs what a decode token does.
    (piece.num_tokens == 1 ? rows.decode : rows.prefill) += piece.num_tokens;
  }
  return rows;
}

uint32_t PrefillBorrowing::RowsToBorrow(const BorrowingState& state) const {
  if (!possible()) return 0;
  const bool worth = state.granted_rows > 0
                         ? state.borrowed.prefill > state.base.prefill
                         : state.borrowed.total() > base_rows_ &&
                               state.borrowed.prefill >= uint64_t{2} * state.base.prefill;
  return worth ? state.borrowed.total() : 0;
}

}  // namespace spearfish::worker
