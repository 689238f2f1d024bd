// What the frames of the arena are for: settled before the first step, from the budget.
#ifndef WORKER_MODEL_ARENA_PLAN_H_
#define WORKER_MODEL_ARENA_PLAN_H_

#include <cstdint>

#include "absl/status/statusor.h"

namespace spearfish::worker {

struct ArenaNeeds {
  uint64_t budget_bytes = 0;  // what is left of the device's budget for the arena
  uint64_t frame_bytes = 0;   // one expert record
  uint64_t num_records = 0;   // experts of all layers
  double max_coverage = 1.0;  // share of them that may be in slots
  double hard_share = 0.5;    // of the slots, kept from KV blocks and prefill

  uint64_t workspace_bytes = 0;           // of a step of max_step_tokens rows
  uint64_t borrowed_workspace_bytes = 0;  // of the largest step with borrowed frames

  uint32_t frames_per_extent = 1;  // of KV
  uint32_t blocks_per_extent = 1;
  uint32_t min_kv_blocks = 1;  // always there: one sequence of max_model_len tokens
  uint32_t max_kv_blocks = 1;  // more is of no use
};

// Frames in order of address:
//   hard slots | KV for good | soft slots | workspace
// KV takes soft slots by extents, which are counted from the first KV frame. A long prefill's
// workspace grows downwards into the soft slots.
struct ArenaPlan {
  uint32_t num_hard = 0;
  uint32_t num_kv = 0;
  uint32_t num_soft = 0;
  uint32_t num_workspace = 0;
  uint32_t num_borrowed = 0;           // soft frames that the largest step takes, at most
  uint32_t num_kv_extents = 0;         // for good
  uint32_t num_claimable_extents = 0;  // whole extents of soft slots
  uint64_t frame_bytes = 0;
  uint32_t frames_per_extent = 0;
  uint32_t blocks_per_extent = 0;

  uint32_t first_kv() const { return num_hard; }
  uint32_t first_soft() const { return num_hard + num_kv; }
  uint32_t first_workspace() const { return first_soft() + num_soft; }
  uint32_t num_frames() const { return first_workspace() + num_workspace; }
  uint32_t num_slots() const { return num_hard + num_soft; }
};

// The workspace and min_kv_blocks come first; slots for max_coverage of the experts next; what is
// left then is KV for good, up to max_kv_blocks, and then workspace, so that nothing need be
// borrowed. ResourceExhausted with both figures when the first two do not fit.
absl::StatusOr<ArenaPlan> PlanArena(const ArenaNeeds& needs);

}  // namespace spearfish::worker

#endif  // WORKER_MODEL_ARENA_PLAN_H_
