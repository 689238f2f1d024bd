// The warps that multiply in the MoE kernel for few rows: what Consumer in moe.cu does for BF16 and
// items of one unit, in the same order of sums, with what that kernel repeats in every turn done
// once: x lies as operands, its sums are taken while the first weights are on their way, and
// columns that no token has are neither masked nor summed.
#ifndef KERNELS_CUDA_MOE_DECODE_CUH_
#define KERNELS_CUDA_MOE_DECODE_CUH_

#include "kernels/cuda/copy_ring.cuh"
#include "kernels/cuda/moe_arithmetic.cuh"
#include "kernels/cuda/moe_decode_plan.h"
#include "kernels/cuda/moe_decode_tiles.cuh"
#include "kernels/cuda/moe_work.cuh"

namespace spearfish::kernels {

// Keeps a value in a register; else the compiler derives it from the thread's number in every turn
// of a loop.
__device__ __forceinline__ uint32_t Kept(uint32_t value) {
  asm volatile("" : "+r"(value));
  return value;
}

// kTokens: choices of a group at most, 1 or kMoeDecodeTokens; the plan's max_tokens may be less.
template <uint32_t kBits, uint32_t kTokens>
class MoeDecodeConsumer {
 public:
  __device__ MoeDecodeConsumer(const MoeWork& work, const MoeShared& shared)
      : work_(work),
        shared_(shared),
        input_sums_(reinterpret_cast<float*>(reinterpret_cast<char*>(shared.reduction) -
                                             MoeDecodeSumBytes(work.layout))),
        warp_(Kept(threadIdx.x / kWarpLanes)),
        lane_(Kept(threadIdx.x % kWarpLanes)),
        g_(Kept(threadIdx.x % kWarpLanes / 4)),
        t_(Kept(threadIdx.x % 4)) {}

  // An item: what the block's other warps still do of the one before touches neither x nor its
  // sums, since all of them have passed the barriers between the products.
  __device__ void Run(const int32_t* members, uint32_t unit) {
    LoadRows(members);
    MoeConsumerBarrier();
    if constexpr (kHasZero) SumInputs();
    MultiplyW13();
    MoeConsumerBarrier();
    Activate();
    MoeConsumerBarrier();
    MultiplyW2(members, unit);
  }

 private:
  using T = MoeTiles<kBits>;
  using Words = DecodeWords<kBits>;
  static constexpr bool kHasZero = Words::kBias != 0;
  static constexpr uint32_t kRunTiles = T::kW13AWarp;
  // Of a lane's two columns of a sum, those that can be a token's.
  static constexpr uint32_t kColumns = kTokens == 1 ? 1 : 2;

  __device__ void LoadRows(const int32_t* members) {
    const uint32_t hidden = work_.layout.hidden;
#pragma unroll
    for (uint32_t token = 0; token < kTokens; ++token) {
      const int32_t pair = token < work_.plan.max_tokens ? members[token] : -1;
      if (pair < 0) break;
      const bf16* row = static_cast<const bf16*>(work_.x) + uint64_t{pair / work_.k} * hidden;
      bf16* to = shared_.x + token * work_.plan.x_stride;
      for (uint32_t i = threadIdx.x * 8; i < hidden; i += kMoeConsumers * 8) {
        const uint4 words = *reinterpret_cast<const uint4*>(row + i);
        const uint32_t factor = FactorOf(i);
        bf16* at = to + MoeDecodeXAt(i);
        *reinterpret_cast<uint32_t*>(at) = ScaleInputs(words.x, factor);
        *reinterpret_cast<uint32_t*>(at + 8) = ScaleInputs(words.y, factor);
        *reinterpret_cast<uint32_t*>(at + 16) = ScaleInputs(words.z, factor);
        *reinterpret_cast<uint32_t*>(at + 24) = ScaleInputs(words.w, factor);
      }
    }
  }

  // What an input or channel is multiplied by (moe_decode_plan.h): the bits of a bfloat16.
  __device__ static uint32_t FactorOf(uint32_t input) {
    return input % 16 < 8 ? MoeFirstFactor(kBits) : MoeSecondFactor(kBits);
  }

  // The lane's operands of a warp's runs, which begin `first` tiles into the strip. Columns behind
  // the last token repeat the tokens: nobody reads what becomes of them.
  __device__ const uint4* Inputs(uint32_t first) const {
    const uint32_t column = kTokens == 1 ? 0 : g_ & (work_.plan.max_tokens - 1);
    const bf16* x = shared_.x + column * work_.plan.x_stride;
    return reinterpret_cast<const uint4*>(x) + first * 2 + t_;
  }
  __device__ static uint32_t Even(const uint4& pair, uint32_t tile) {
    return tile % 2 == 0 ? pair.x : pair.z;
  }
  __device__ static uint32_t Odd(const uint4& pair, uint32_t tile) {
    return tile % 2 == 0 ? pair.y : pair.w;
  }

  // [part][run][token]; each warp sums the runs that it multiplies itself.
  __device__ float* InputSums() const {
    const uint32_t runs = work_.layout.hidden / MoeDecodeRunInputs(kBits);
    return input_sums_ + (warp_ / 8 * runs + warp_ % 8) * kTokens;
  }
  __device__ uint32_t SumColumn() const {
    return kTokens == 1 ? 0 : (2 * t_) & (work_.plan.max_tokens - 1);
  }

  __device__ void SumInputs() {
    const uint32_t runs = work_.layout.hidden / MoeDecodeRunInputs(kBits);
    const uint4* x = Inputs(warp_ % 8 * kRunTiles);
    float* to = InputSums() + SumColumn();
#pragma unroll 2
    for (uint32_t run = warp_ % 8; run < runs; run += 8) {
      float sums[4] = {};
#pragma unroll
      for (uint32_t i = 0; i < kRunTiles; i += 2) {
        const uint4 pair = x[i * 2];
        AddScaledInputs(sums, pair.x, pair.y);
        AddScaledInputs(sums, pair.z, pair.w);
      }
      if (2 * lane_ < work_.plan.max_tokens) {
        to[0] = sums[0];
        if constexpr (kTokens > 1) to[1] = sums[1];
      }
      x += T::kW13Tiles * 2;
      to += 8 * kTokens;
    }
    __syncwarp();
  }

  __device__ const char* WaitStage() {
    WaitPhase(&shared_.full[at_.stage], at_.parity);
    return shared_.ring + at_.stage * kMoeStageBytes;
  }
  __device__ void ReleaseStage() {
    Arrive(&shared_.empty[at_.stage]);  // every lane for itself: see moe.cu
    at_.Next(work_.plan.num_stages);
  }

  // Warps 0..7 multiply gate, 8..15 up; a run of tiles of each stage.
  __device__ void MultiplyW13() {
    const uint32_t part = warp_ / 8;
    const uint32_t in_stage = warp_ % 8 * kRunTiles;
    const uint32_t tiles_at = Kept(part * (kMoeStageTileBytes / 2) + in_stage * T::kBytes);
    const uint32_t scales_at = Kept(kMoeStageTileBytes + part * (kMoeStageScaleBytes / 2) +
                                    in_stage * 16 / work_.layout.w13_group * 128);
    const uint4* x = Inputs(in_stage);
    const float* inputs = kHasZero ? InputSums() + SumColumn() : nullptr;
    float sums[4][2][kColumns] = {};
    const uint32_t k_tiles = work_.layout.hidden / 16;
    for (uint32_t first = in_stage; first < k_tiles + in_stage; first += T::kW13Tiles) {
      const char* stage = WaitStage();
      if (first < k_tiles) MultiplyRun(stage + tiles_at, stage + scales_at, x, inputs, sums);
      ReleaseStage();
      x += T::kW13Tiles * 2;
      if constexpr (kHasZero) inputs += 8 * kTokens;
    }
    StoreSums(sums);
  }

  __device__ __forceinline__ void MultiplyRun(const char* tiles, const char* group, const uint4* x,
                                              const float* inputs,
                                              float (&sums)[4][2][kColumns]) const {
    Words words[kRunTiles];
    uint4 pairs[kRunTiles / 2];
#pragma unroll
    for (uint32_t i = 0; i < kRunTiles; ++i) words[i].Load(tiles + i * T::kBytes, lane_);
#pragma unroll
    for (uint32_t i = 0; i < kRunTiles / 2; ++i) pairs[i] = x[i * 4];
    const LaneScales scales(group, g_);
    float inputs_sum[2] = {};
    if constexpr (kHasZero && kTokens == 1) inputs_sum[0] = inputs[0];
    if constexpr (kHasZero && kTokens > 1) {
      const float2 both = *reinterpret_cast<const float2*>(inputs);
      inputs_sum[0] = both.x;
      inputs_sum[1] = both.y;
    }
    float fresh[4][4] = {};
#pragma unroll
    for (uint32_t i = 0; i < kRunTiles; ++i) {
      const uint32_t b0 = Even(pairs[i / 2], i);
      const uint32_t b1 = Odd(pairs[i / 2], i);
      MultiplyTile(fresh[0], words[i].template Operand<0>(), b0, b1);
      MultiplyTile(fresh[1], words[i].template Operand<1>(), b0, b1);
      MultiplyTile(fresh[2], words[i].template Operand<2>(), b0, b1);
      MultiplyTile(fresh[3], words[i].template Operand<3>(), b0, b1);
    }
#pragma unroll
    for (uint32_t j = 0; j < 4; ++j) {
#pragma unroll
      for (uint32_t half = 0; half < 2; ++half) {
#pragma unroll
        for (uint32_t c = 0; c < kColumns; ++c) {
          float& sum = sums[j][half][c];
          sum = AddScaled(sum, fresh[j][2 * half + c], inputs_sum[c], Words::kBias,
                          scales.values[2 * j + half]);
        }
      }
    }
  }

  // reduction[warp][column][output]
  __device__ void StoreSums(const float (&sums)[4][2][kColumns]) {
    const uint32_t columns = work_.plan.w13_columns;
    float* to = shared_.reduction + (warp_ * columns + 2 * t_) * kMoeReductionStride + g_;
#pragma unroll
    for (uint32_t c = 0; c < kColumns; ++c) {
      if (2 * t_ + c >= columns) continue;
#pragma unroll
      for (uint32_t j = 0; j < 4; ++j) {
#pragma unroll
        for (uint32_t half = 0; half < 2; ++half) {
          to[c * kMoeReductionStride + 16 * j + 8 * half] = sums[j][half][c];
        }
      }
    }
  }

  // Of gate (part 0) or up for a token, summed over the warps.
  __device__ float Projection(uint32_t part, uint32_t token, uint32_t channel) const {
    const uint32_t columns = work_.plan.w13_columns;
    const float* from =
        shared_.reduction + (part * 8 * columns + token) * kMoeReductionStride + channel;
    float sum = 0;
#pragma unroll
    for (uint32_t w = 0; w < 8; ++w) sum += from[w * columns * kMoeReductionStride];
    return sum;
  }

  // inner[2 * token + part] = silu(gate) * up as the sum of two bfloat16.
  __device__ void Activate() {
    const uint32_t count = work_.plan.max_tokens * kMoeUnitChannels;
    for (uint32_t i = threadIdx.x; i < count; i += kMoeConsumers) {
      const uint32_t token = i / kMoeUnitChannels;
      const uint32_t channel = i % kMoeUnitChannels;
      const SplitActivation inner(Projection(0, token, channel), Projection(1, token, channel));
      const float factor = __uint_as_float(FactorOf(channel) << 16);
      bf16* high = shared_.inner + 2 * token * kMoeInnerStride + channel;
      *high = Narrow<bf16>(factor * Widen(inner.high));
      high[kMoeInnerStride] = Narrow<bf16>(factor * Widen(inner.low));
    }
  }

  // What the second product multiplies: high and low parts of the tokens are its columns.
  struct Inner {
    uint32_t b[4][2];
    float bias;  // of the lane's token
  };
  __device__ Inner LoadInner() const {
    const uint32_t column = g_ & (2 * work_.plan.max_tokens - 1);
    const bf16* from = shared_.inner + column * kMoeInnerStride + 2 * t_;
    Inner inner;
    float inputs_sum[4] = {};
#pragma unroll
    for (uint32_t tile = 0; tile < 4; ++tile) {
      inner.b[tile][0] = *reinterpret_cast<const uint32_t*>(from + tile * 16);
      inner.b[tile][1] = *reinterpret_cast<const uint32_t*>(from + tile * 16 + 8);
      if constexpr (kHasZero) AddScaledInputs(inputs_sum, inner.b[tile][0], inner.b[tile][1]);
    }
    inner.bias = PairBias(inputs_sum[0], inputs_sum[1], Words::kBias);
    return inner;
  }

  __device__ void MultiplyW2(const int32_t* members, uint32_t unit) {
    const Inner inner = LoadInner();
    const uint32_t strips = work_.layout.hidden / 64;
    const uint32_t in_stage = warp_ / T::kWarpsAStrip;
    const int32_t pair = t_ < work_.plan.max_tokens ? members[t_] : -1;
    const bool has_token = pair >= 0;
    const uint64_t slot = uint64_t(has_token ? pair : 0) * work_.slots + unit;
    float* to = work_.partials + slot * work_.layout.hidden + in_stage * 64 + g_;
    const uint32_t tiles_at = Kept(in_stage * 4 * T::kBytes);
    const uint32_t scales_at = Kept(kMoeStageTileBytes + in_stage * 128);
    for (uint32_t first = in_stage; first < strips + in_stage; first += T::kStrips) {
      const char* stage = WaitStage();
      if (first < strips) {
        if (T::kWarpsAStrip == 1 || warp_ % 2 == 0) {
          MultiplyStrip<0>(stage + tiles_at, stage + scales_at, inner, has_token, to);
        } else {
          MultiplyStrip<2>(stage + tiles_at, stage + scales_at, inner, has_token, to);
        }
      }
      ReleaseStage();
      to += T::kStrips * 64;
    }
  }

  // Outputs 16 * kFirst .. of a strip, kBlocksAWarp times 16.
  template <uint32_t kFirst>
  __device__ __forceinline__ void MultiplyStrip(const char* tiles, const char* group,
                                                const Inner& inner, bool has_token,
                                                float* to) const {
    constexpr uint32_t kBlocks = T::kBlocksAWarp;
    Words words[4];
#pragma unroll
    for (uint32_t tile = 0; tile < 4; ++tile) words[tile].Load(tiles + tile * T::kBytes, lane_);
    const LaneScales scales(group, g_);
    float sums[kBlocks][4] = {};
#pragma unroll
    for (uint32_t tile = 0; tile < 4; ++tile) {
      const uint32_t b0 = inner.b[tile][0];
      const uint32_t b1 = inner.b[tile][1];
      MultiplyTile(sums[0], words[tile].template Operand<kFirst>(), b0, b1);
      MultiplyTile(sums[1], words[tile].template Operand<kFirst + 1>(), b0, b1);
      if constexpr (kBlocks == 4) {
        MultiplyTile(sums[2], words[tile].template Operand<2>(), b0, b1);
        MultiplyTile(sums[3], words[tile].template Operand<3>(), b0, b1);
      }
    }
#pragma unroll
    for (uint32_t j = 0; j < kBlocks; ++j) {
#pragma unroll
      for (uint32_t half = 0; half < 2; ++half) {
        const uint32_t block = kFirst + j;
        const float value = PairOutput(sums[j][2 * half], sums[j][2 * half + 1], inner.bias,
                                       scales.values[2 * block + half]);
        if (has_token) to[16 * block + 8 * half] = value;
      }
    }
  }

  const MoeWork& work_;
  const MoeShared& shared_;
  float* const input_sums_;
  const uint32_t warp_;
  const uint32_t lane_;
  const uint32_t g_;  // row of A, column of B
  const uint32_t t_;  // pair of inputs; pair of columns of a sum
  RingPosition at_;
};

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_MOE_DECODE_CUH_
