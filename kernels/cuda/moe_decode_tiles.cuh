// Marlin tiles as operands for few rows: the values of moe_tiles.cuh times powers of two that the
// activations make up for, because these take the integer pipe, which issues every other cycle,
// fewer instructions. Products, and so the bits of sums, stay the same as long as scaled
// activations do not overflow (below 2^121).
#ifndef KERNELS_CUDA_MOE_DECODE_TILES_CUH_
#define KERNELS_CUDA_MOE_DECODE_TILES_CUH_

#include "kernels/cuda/moe_decode_plan.h"
#include "kernels/cuda/moe_tiles.cuh"

namespace spearfish::kernels {

// Both halves of a word.
__device__ __forceinline__ constexpr uint32_t Twice(uint32_t half) { return half * 0x10001u; }

__device__ __forceinline__ uint32_t MultiplyAddBf16(uint32_t a, uint32_t b, uint32_t addend) {
  uint32_t bits;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(bits) : "r"(a), "r"(b), "r"(addend));
  return bits;
}
__device__ __forceinline__ uint32_t ScaleInputs(uint32_t pair, uint32_t factor) {
  return MultiplyAddBf16(pair, Twice(factor), Twice(0x8000));  // minus zero keeps every sign
}

template <uint32_t kBits>
struct DecodeWords;

template <>
struct DecodeWords<4> : TileWords<4> {
  // 128 + stored of the first inputs, (128 + stored) / 4 of the others.
  template <uint32_t kJ>
  __device__ __forceinline__ TileOperand Operand() const {
    const uint32_t low = kJ == 0 ? words.x : kJ == 1 ? words.y : kJ == 2 ? words.z : words.w;
    const uint32_t high = low >> 8;
    TileOperand operand;
    operand.a[0] = NibblesToBf16(low);
    operand.a[1] = NibblesToBf16(high);
    operand.a[2] = UpperNibbles(low);
    operand.a[3] = UpperNibbles(high);
    return operand;
  }

 private:
  __device__ __forceinline__ static uint32_t UpperNibbles(uint32_t word) {
    return MultiplyAddBf16(word & Twice(0xf0), Twice(kMoeWidenFactor), Twice(kMoeNibbleAddend));
  }
};

template <>
struct DecodeWords<8> : TileWords<8> {
  // (stored - 128) / 64.
  template <uint32_t kJ>
  __device__ __forceinline__ TileOperand Operand() const {
    const uint4& pair = words[kJ / 2];
    const uint32_t low = kJ % 2 == 0 ? pair.x : pair.z;
    const uint32_t high = kJ % 2 == 0 ? pair.y : pair.w;
    TileOperand operand;
    operand.a[0] = LowerBytes(low);
    operand.a[1] = LowerBytes(high);
    operand.a[2] = LowerBytes(low >> 8);
    operand.a[3] = LowerBytes(high >> 8);
    return operand;
  }

 private:
  __device__ __forceinline__ static uint32_t LowerBytes(uint32_t word) {
    return MultiplyAddBf16(word & Twice(0xff), Twice(kMoeWidenFactor), Twice(kMoeByteAddend));
  }
};

// AddInputs (moe_tiles.cuh) for INT4's scaled inputs.
__device__ __forceinline__ void AddScaledInputs(float (&sums)[4], uint32_t b0, uint32_t b1) {
  constexpr uint32_t kOne = 0x3f803f80u;
  constexpr uint32_t kOther = kMoeSecondOne * 0x10001u;
  MultiplyBf16(sums, kOne, kOne, kOther, kOther, b0, b1);
}

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_MOE_DECODE_TILES_CUH_
