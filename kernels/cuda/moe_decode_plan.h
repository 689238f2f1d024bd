// How the kernel for few rows (moe_decode.cu) lays out the shared memory of a block. Plain C++17.
#ifndef KERNELS_CUDA_MOE_DECODE_PLAN_H_
#define KERNELS_CUDA_MOE_DECODE_PLAN_H_

#include <cstdint>

#include "kernels/api/expert_layout.h"
#include "kernels/cuda/moe_plan.h"

namespace spearfish::kernels {

// Choices of a group at most: columns of the first product; the second has two for each.
inline constexpr uint32_t kMoeDecodeTokens = 4;
// Left free of a block's shared memory, so that a block of the kernel that adds the partial outputs
// is there before this one ends.
inline constexpr uint32_t kMoeDecodeSpareBytes = 4096;

// Where x lies in shared memory, so that a lane's part of the B operands of two tiles is 16 bytes:
// of each 32 inputs, lane t (of four) has 2t, 2t + 1, 2t + 8, 2t + 9, then the same of the second
// tile. `input` is even; the result counts bfloat16.
SF_HOST_DEVICE constexpr uint32_t MoeDecodeXAt(uint32_t input) {
  const uint32_t in_half = input % 8;
  const uint32_t half = input / 8 % 2;
  const uint32_t tile = input / 16 % 2;
  return input / 32 * 32 + in_half / 2 * 8 + tile * 4 + half * 2;
}

// 16-byte reads of two neighbouring columns meet no bank twice: a column is 64 bytes past a
// multiple of 128.
inline constexpr uint32_t kMoeDecodeXPad = 32;

// Inputs of a run, the tiles that a warp takes of a stage of w1, w3.
SF_HOST_DEVICE constexpr uint32_t MoeDecodeRunInputs(uint32_t bits) {
  return kMoeStageTileBytes / (bits * 128) / kMoeConsumerWarps * 16;
}

// How stored weights become operands (moe_decode_tiles.cuh), as the bits of bfloat16. One with an
// integer b < 256 as its bits is b * 2^-133, above 127 too: the lowest two exponents share a step.
// So b times kMoeWidenFactor is b / 64. With kMoeNibbleAddend, 16 times a stored nibble becomes
// (128 + stored) / 4; with kMoeByteAddend a stored byte becomes (stored - 128) / 64.
inline constexpr uint32_t kMoeWidenFactor = 0x7f00;   // 2^127
inline constexpr uint32_t kMoeNibbleAddend = 0x4200;  // 32
inline constexpr uint32_t kMoeByteAddend = 0xc000;    // -2

// What activations are multiplied by for that; of each 16 inputs the weights of the first 8 are
// widened otherwise in INT4, to 128 + stored.
SF_HOST_DEVICE constexpr uint32_t MoeFirstFactor(uint32_t bits) {
  return bits == 4 ? 0x3f80 : 0x4280;  // 1, 64
}
SF_HOST_DEVICE constexpr uint32_t MoeSecondFactor(uint32_t bits) {
  return bits == 4 ? 0x4080 : 0x4280;  // 4, 64
}
// One over MoeSecondFactor(4): sums of the inputs themselves.
inline constexpr uint32_t kMoeSecondOne = 0x3e80;

// Sums of a run's inputs, which take the zero point of INT4 off: for gate's warps and up's.
SF_HOST_DEVICE inline uint32_t MoeDecodeSumBytes(const ExpertLayout& layout) {
  if (layout.bits != 4) return 0;
  const uint32_t runs = layout.hidden / MoeDecodeRunInputs(layout.bits);
  return (2 * runs * kMoeDecodeTokens * 4 + 127) / 128 * 128;
}

// The items of a block: a unit of a group each, one every `blocks`.
class MoeItemWalk {
 public:
  SF_HOST_DEVICE MoeItemWalk(uint32_t units, uint32_t block, uint32_t blocks)
      : group_(block / units),
        unit_(block % units),
        units_(units),
        step_groups_(blocks / units),
        step_units_(blocks % units) {}
  SF_HOST_DEVICE uint32_t group() const { return group_; }
  SF_HOST_DEVICE uint32_t unit() const { return unit_; }
  SF_HOST_DEVICE void Next() {
    group_ += step_groups_;
    unit_ += step_units_;
    if (unit_ < units_) return;
    unit_ -= units_;
    ++group_;
  }

 private:
  uint32_t group_;
  uint32_t unit_;
  const uint32_t units_;
  const uint32_t step_groups_;
  const uint32_t step_units_;
};

// num_stages is 0 when nothing fits or groups would be larger than kMoeDecodeTokens; x_bytes holds
// the sums of inputs too, behind x.
inline MoePlan PlanMoeDecode(const ExpertLayout& layout, const MoeChoices& choices,
                             uint32_t available_bytes) {
  const uint32_t spared =
      available_bytes > kMoeDecodeSpareBytes ? available_bytes - kMoeDecodeSpareBytes : 0;
  const uint32_t tokens = PlanMoe(layout, choices, false, spared).max_tokens;
  if (tokens == 0 || tokens > kMoeDecodeTokens) return {};
  MoePlan plan = {};
  plan.max_tokens = tokens;
  plan.w13_columns = tokens;
  plan.x_stride = layout.hidden + kMoeDecodeXPad;
  plan.x_bytes = (tokens * plan.x_stride * 2 + 127) / 128 * 128 + MoeDecodeSumBytes(layout);
  return FitMoeRing(plan, spared);
}

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_MOE_DECODE_PLAN_H_
