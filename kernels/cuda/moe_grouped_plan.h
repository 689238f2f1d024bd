// How the CUDA backend cuts an MoE call of many choices an expert into work. Plain C++17.
#ifndef KERNELS_CUDA_MOE_GROUPED_PLAN_H_
#define KERNELS_CUDA_MOE_GROUPED_PLAN_H_

#include <cstdint>
#include <initializer_list>

#include "kernels/api/expert_layout.h"
#include "kernels/cuda/moe_plan.h"

namespace spearfish::kernels {

// False: every call takes the decode kernel, whose results are the same to the bit.
inline constexpr bool kMoeGrouped = true;
// Choices an expert, on average, or rows from which the grouped kernels take over. The decode
// kernel is faster where all are in slots, but reads a record again for every four or eight
// choices, which for cold records counts for more.
inline constexpr uint32_t kMoeGroupedChoices = 8;
inline constexpr uint32_t kMoeGroupedFromRows = 33;
inline constexpr uint32_t kMoeGroupedExperts = 1024;  // at most: one thread each sorts
// Rows of a launch; a longer call reads cold records once for each of them.
inline constexpr uint32_t kMoeGroupedRows = 2048;
// Rows whose outputs, all columns of them, the workspace holds; of more rows, half of the columns
// at once: these take no more than the inputs did.
inline constexpr uint32_t kMoeGroupedOutputRows = 512;
inline constexpr uint32_t kMoeGroupedLaunches = 3;  // of w1 and w3, and of halves of w2

// Three on a scheduler hide each other's latencies; with the producer's that is all that a
// multiprocessor's registers hold at 128 each, whence the rows of a warp.
inline constexpr uint32_t kMoeGroupedWarps = 12;
// 64 inputs (or activations) of a row, then their float32 sum; what is left keeps lanes of a
// fragment apart in shared memory.
inline constexpr uint32_t kMoeInputBytes = 144;
// Of a row of x in a stage of w1, w3: INT8 takes 32 inputs at a time and needs no sum.
SF_HOST_DEVICE constexpr uint32_t MoeW13InputBytes(uint32_t bits) {
  return bits == 4 ? kMoeInputBytes : 80;
}
inline constexpr uint32_t kMoeRunBytes = 2048;  // tiles of one strip that a stage of w1, w3 holds
inline constexpr uint32_t kMoeScaleBytes = 128;
inline constexpr uint32_t kMoeGroupedHeaderBytes = 512;
inline constexpr uint32_t kMoeGroupedMaxStages = 8;
inline constexpr uint32_t kMoeW13Rows = 24;     // of a warp
inline constexpr uint32_t kMoeW2Rows = 12;      // of a warp: each is two columns
inline constexpr uint32_t kMoeWarpColumns = 3;  // of eight
inline constexpr uint32_t kMoeTotalBytes = kMoeGroupedWarps * 32 * kMoeWarpColumns * 16 * 4;

// A block's twelve warps are row groups times strips of 64 outputs: the more rows an expert has,
// the more of them share a block, so that fewer blocks read its weights. A cold record crosses the
// link once for 144 rows; of a hot one, w2 is read for every 72, which spares the activations'
// traffic.
SF_HOST_DEVICE inline uint32_t MoeW13RowGroups(uint32_t choices) {
  if (choices <= kMoeW13Rows) return 1;
  if (choices <= 2 * kMoeW13Rows) return 2;
  return choices <= 3 * kMoeW13Rows ? 3 : 6;
}
SF_HOST_DEVICE inline uint32_t MoeW2RowGroups(uint32_t choices, bool is_cold) {
  if (choices <= kMoeW2Rows) return 1;
  if (choices <= 2 * kMoeW2Rows) return 2;
  if (choices <= 3 * kMoeW2Rows) return 3;
  return choices <= 6 * kMoeW2Rows || !is_cold ? 6 : 12;
}

// An item is a tile of one expert's rows times a run of strips: of w1 and w3 in pairs (a part is
// 6 / row groups units), of w2 (a part is 12 / row groups strips).
struct MoeItemShape {
  uint32_t row_groups;
  uint32_t rows;   // of a tile
  uint32_t tiles;  // tiles and parts of the expert
  uint32_t parts;
  uint32_t strips;  // of a part
  SF_HOST_DEVICE uint32_t items() const { return tiles * parts; }
};

// `runs` pieces of kStrips strips each in as few parts as the warps allow, of about the same
// length.
template <uint32_t kStrips>
SF_HOST_DEVICE inline MoeItemShape MoeShapeOf(uint32_t groups, uint32_t warp_rows, uint32_t choices,
                                              uint32_t runs) {
  const uint32_t rows = groups * warp_rows;
  const uint32_t most = kMoeGroupedWarps / kStrips / groups;
  const uint32_t parts = (runs + most - 1) / most;
  return {groups, rows, (choices + rows - 1) / rows, parts, (runs + parts - 1) / parts * kStrips};
}
SF_HOST_DEVICE inline MoeItemShape MoeW13Shape(uint32_t choices, uint32_t units) {
  return MoeShapeOf<2>(MoeW13RowGroups(choices), kMoeW13Rows, choices, units);
}
SF_HOST_DEVICE inline MoeItemShape MoeW2Shape(uint32_t choices, bool is_cold, uint32_t strips) {
  return MoeShapeOf<1>(MoeW2RowGroups(choices, is_cold), kMoeW2Rows, choices, strips);
}

// Where an item of an expert stands among its choices. Tiles of one part follow each other: their
// blocks run side by side and read the same weights.
struct MoeItemPlace {
  uint32_t part;
  uint32_t first;  // choice of the expert
  uint32_t count;
};
SF_HOST_DEVICE inline MoeItemPlace MoeItemAt(const MoeItemShape& shape, uint32_t choices,
                                             uint32_t item) {
  const uint32_t first = item % shape.tiles * shape.rows;
  const uint32_t left = choices - first;
  return {item / shape.tiles, first, left < shape.rows ? left : shape.rows};
}

// The expert e with items[e] <= item < items[e + 1]; items ascend from 0.
SF_HOST_DEVICE inline uint32_t MoeExpertOfItem(const uint32_t* items, uint32_t num_experts,
                                               uint32_t item) {
  uint32_t low = 0;
  uint32_t high = num_experts;
  while (high - low > 1) {
    const uint32_t middle = (low + high) / 2;
    if (items[middle] <= item) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

// Runs of inputs that the first product takes one after the other.
SF_HOST_DEVICE inline uint32_t MoeW13Runs(const ExpertLayout& layout) {
  return layout.hidden / 16 / (kMoeRunBytes / (layout.bits * 128));
}

// Where the parts of a stage lie, behind the tiles of its strips.
struct MoeStageShape {
  uint32_t strips;
  uint32_t strip_bytes;
  SF_HOST_DEVICE uint32_t scales() const { return strips * strip_bytes; }
  SF_HOST_DEVICE uint32_t inputs() const { return strips * (strip_bytes + kMoeScaleBytes); }
};
SF_HOST_DEVICE constexpr uint32_t MoeW2StripBytes(uint32_t bits) { return 4 * bits * 128; }

struct MoeGroupedPlan {
  uint32_t w13_stage_bytes;
  uint32_t w13_stages;  // 0: the kernels don't fit
  uint32_t w13_shared_bytes;
  uint32_t w2_stage_bytes;
  uint32_t w2_stages;
  uint32_t w2_shared_bytes;
};

inline MoeGroupedPlan PlanMoeGrouped(const ExpertLayout& layout, uint32_t available_bytes) {
  MoeGroupedPlan plan = {};
  for (const uint32_t groups : {1u, 2u, 3u, 6u, 12u}) {
    const uint32_t strips = kMoeGroupedWarps / groups;
    const MoeStageShape w2 = {strips, MoeW2StripBytes(layout.bits)};
    const uint32_t w2_bytes = w2.inputs() + 2 * groups * kMoeW2Rows * kMoeInputBytes;
    if (w2_bytes > plan.w2_stage_bytes) plan.w2_stage_bytes = w2_bytes;
    if (groups == kMoeGroupedWarps) continue;
    const MoeStageShape w13 = {strips, kMoeRunBytes};
    const uint32_t w13_bytes = w13.inputs() + groups * kMoeW13Rows * MoeW13InputBytes(layout.bits);
    if (w13_bytes > plan.w13_stage_bytes) plan.w13_stage_bytes = w13_bytes;
  }
  const auto stages = [available_bytes](uint32_t fixed, uint32_t stage_bytes) {
    const uint32_t left = available_bytes > fixed ? available_bytes - fixed : 0;
    const uint32_t most = left / stage_bytes;
    return most < kMoeGroupedMaxStages ? most : kMoeGroupedMaxStages;
  };
  const uint32_t w13_fixed = kMoeGroupedHeaderBytes + kMoeTotalBytes;
  plan.w13_stages = stages(w13_fixed, plan.w13_stage_bytes);
  plan.w2_stages = stages(kMoeGroupedHeaderBytes, plan.w2_stage_bytes);
  if (plan.w13_stages < 2 || plan.w2_stages < 2) return {};
  plan.w13_shared_bytes = w13_fixed + plan.w13_stages * plan.w13_stage_bytes;
  plan.w2_shared_bytes = kMoeGroupedHeaderBytes + plan.w2_stages * plan.w2_stage_bytes;
  return plan;
}

inline bool MoeWantsGroups(const MoeChoices& choices) {
  if (!kMoeGrouped || choices.num_experts > kMoeGroupedExperts) return false;
  return choices.num_rows >= kMoeGroupedFromRows ||
         choices.num_pairs >= uint64_t{kMoeGroupedChoices} * choices.num_experts;
}

// Strips of outputs that one pass over w2 makes.
inline uint32_t MoeStripsAPass(const ExpertLayout& layout, uint32_t num_rows) {
  const uint32_t strips = layout.hidden / 64;
  return num_rows <= kMoeGroupedOutputRows ? strips : (strips + 1) / 2;
}

// Bytes of what a launch of up to num_rows rows keeps; each is a multiple of 256.
struct MoeGroupedSizes {
  uint64_t members;  // int32 [choices], in the order of their experts
  uint64_t table;    // uint32 [kMoeGroupedExperts + 1]; there are three
  uint64_t taken;    // uint32 [kMoeGroupedLaunches]
  uint64_t inner;    // [units][choices, as members][2][kMoeInputBytes]
  uint64_t inputs;   // x, [runs][choices, as members][MoeW13InputBytes]
  uint64_t outputs;  // float [choices][columns of a pass]
  // Outputs take the place of the inputs.
  uint64_t total() const {
    return members + 3 * table + taken + inner + (inputs > outputs ? inputs : outputs);
  }
};

inline MoeGroupedSizes SizesOfMoeGrouped(const ExpertLayout& layout, uint32_t num_rows,
                                         uint32_t k) {
  const auto rounded = [](uint64_t bytes) { return (bytes + 255) / 256 * 256; };
  const uint64_t rows = num_rows < kMoeGroupedRows ? num_rows : kMoeGroupedRows;
  const uint64_t whole = rows < kMoeGroupedOutputRows ? rows : kMoeGroupedOutputRows;
  uint64_t columns = whole * layout.hidden;  // times rows
  const uint64_t pass = rows * MoeStripsAPass(layout, static_cast<uint32_t>(rows)) * 64;
  if (columns < pass) columns = pass;
  MoeGroupedSizes sizes = {};
  sizes.members = rounded(rows * k * 4);
  sizes.table = rounded((kMoeGroupedExperts + 1) * 4);
  sizes.taken = rounded(kMoeGroupedLaunches * 4);
  sizes.inputs = rounded(rows * k * MoeW13Runs(layout) * MoeW13InputBytes(layout.bits));
  sizes.inner = rounded(rows * k * 2 * MoeUnits(layout) * kMoeInputBytes);
  sizes.outputs = rounded(columns * k * 4);
  return sizes;
}

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_MOE_GROUPED_PLAN_H_
