// How the CUDA backend cuts an MoE call into work. Plain C++17.
#ifndef KERNELS_CUDA_MOE_PLAN_H_
#define KERNELS_CUDA_MOE_PLAN_H_

#include <cstdint>

#include "kernels/api/expert_layout.h"

#if defined(__CUDACC__)
#define SF_HOST_DEVICE __host__ __device__
#else
#define SF_HOST_DEVICE
#endif

namespace spearfish::kernels {

// A unit is 64 intermediate channels of an expert: one strip of gate, one of up, and the matching
// 64 inputs of w2. Units need nothing of each other; an expert's output is the sum of its units'
// partial outputs, added in parts of kMoePartUnits, then the parts, all in order. A group is up to
// max_tokens choices of one expert, which share what is read. An item, the work of one block at a
// time, is a unit of a group, a part of it, or all of it, the more the more rows there are: fewer
// partial outputs against blocks that run dry. The bits of a row are the same whichever it is.
inline constexpr uint32_t kMoeUnitChannels = 64;
inline constexpr uint32_t kMoePartUnits = 4;
inline constexpr uint32_t kMoeSplitRows = 16;  // up to them an item is a unit,
inline constexpr uint32_t kMoePartRows = 64;   // up to them a part
// Rows of a launch; longer calls are cut, so that the workspace stays small.
inline constexpr uint32_t kMoeChunkRows = 512;
// Choices up to which every block finds the groups itself instead of a kernel before it.
inline constexpr uint32_t kMoeInBlockPairs = 128;

// Weights arrive in shared memory in stages: 32 KiB of tiles, then their scales.
inline constexpr uint32_t kMoeStageTileBytes = 32768;
inline constexpr uint32_t kMoeStageScaleBytes = 2048;
inline constexpr uint32_t kMoeStageBytes = kMoeStageTileBytes + kMoeStageScaleBytes;
inline constexpr uint32_t kMoeConsumerWarps = 16;

struct MoePlan {
  uint32_t max_tokens;   // of a group
  uint32_t w13_columns;  // columns of the first product: max_tokens, twice that for F32
  uint32_t num_stages;   // of the ring
  uint32_t x_stride;     // bfloat16 from one column of x in shared memory to the next
  uint32_t x_bytes;
  uint32_t reduction_bytes;
  uint32_t inner_bytes;
  uint32_t shared_bytes;
};

inline uint32_t MoeUnits(const ExpertLayout& layout) {
  return layout.intermediate / kMoeUnitChannels;
}

inline uint32_t MoeUnitsAnItem(const ExpertLayout& layout, uint32_t num_rows) {
  const uint32_t units = MoeUnits(layout);
  if (num_rows <= kMoeSplitRows) return 1;
  return num_rows <= kMoePartRows && units > kMoePartUnits ? kMoePartUnits : units;
}

// Partial outputs that a choice has in the workspace; an item of all units keeps two.
inline uint32_t MoeSlots(const ExpertLayout& layout, uint32_t num_rows) {
  const uint32_t units_an_item = MoeUnitsAnItem(layout, num_rows);
  const uint32_t units = MoeUnits(layout);
  if (units_an_item == 1) return units;
  return units_an_item == units ? 2 : (units + units_an_item - 1) / units_an_item;
}

// What the size of a group is chosen by.
struct MoeChoices {
  uint32_t num_rows;
  uint32_t num_pairs;  // choices: num_rows * k
  uint32_t num_experts;
};

// Completes a plan whose tokens, columns and x are set; num_stages is 0 when a ring of three stages
// (two at max_tokens = 1) does not fit.
inline MoePlan FitMoeRing(MoePlan plan, uint32_t available_bytes) {
  constexpr uint32_t kFixedBytes = 1024 + 4 * kMoeInBlockPairs * 8 + 4 * kMoeInBlockPairs;
  plan.reduction_bytes = kMoeConsumerWarps * plan.w13_columns * 68 * 4;
  plan.inner_bytes = 2 * plan.max_tokens * (kMoeUnitChannels + 8) * 2;
  const uint32_t fixed =
      kFixedBytes + plan.x_bytes + plan.reduction_bytes + (plan.inner_bytes + 127) / 128 * 128;
  const uint32_t least = plan.max_tokens == 1 ? 2 : 3;
  if (fixed + least * kMoeStageBytes > available_bytes) return {};
  plan.num_stages = (available_bytes - fixed) / kMoeStageBytes;
  if (plan.num_stages > 8) plan.num_stages = 8;
  plan.shared_bytes = fixed + plan.num_stages * kMoeStageBytes;
  return plan;
}

// The largest group that leaves such a ring.
inline MoePlan PlanMoe(const ExpertLayout& layout, const MoeChoices& choices, bool is_f32,
                       uint32_t available_bytes) {
  // Four tokens take half the tensor-core work of eight: enough where few experts are chosen more
  // often. Else a cold record would cross the link once for every four.
  const bool often = choices.num_pairs >= 3 * choices.num_experts;
  uint32_t tokens = is_f32 || (choices.num_rows <= kMoePartRows && !often) ? 4 : 8;
  while (tokens > 1 && tokens / 2 >= choices.num_rows) tokens /= 2;
  for (; tokens > 0; tokens /= 2) {
    MoePlan plan = {};
    plan.max_tokens = tokens;
    plan.w13_columns = is_f32 ? 2 * tokens : tokens;
    plan.x_stride = layout.hidden + 8;
    plan.x_bytes = (plan.w13_columns * plan.x_stride * 2 + 127) / 128 * 128;
    plan = FitMoeRing(plan, available_bytes);
    if (plan.num_stages > 0) return plan;
  }
  return {};
}

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_MOE_PLAN_H_
