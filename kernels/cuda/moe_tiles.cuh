// Marlin tiles as operands of the tensor cores: a lane's words of a tile are its part of the A
// operand (16 outputs x 16 inputs) of mma.m16n8k16, with activations as B.
#ifndef KERNELS_CUDA_MOE_TILES_CUH_
#define KERNELS_CUDA_MOE_TILES_CUH_

#include "kernels/cuda/numeric.cuh"
#include "kernels/cuda/tensor_core.cuh"

namespace spearfish::kernels {

// Part of A: outputs g and g + 8, inputs 2t, 2t + 1 and 2t + 8, 2t + 9 (g = lane / 4, t = lane %
// 4).
struct TileOperand {
  uint32_t a[4];
};

__device__ __forceinline__ void MultiplyTile(float (&sums)[4], const TileOperand& weights,
                                             uint32_t b0, uint32_t b1) {
  MultiplyBf16(sums, weights.a[0], weights.a[1], weights.a[2], weights.a[3], b0, b1);
}

// Two nibbles in the low ends of the halves become bfloat16 128 + stored. The products are too
// large by kBias times the sum of the inputs, which is subtracted from sums instead of weights.
__device__ __forceinline__ uint32_t NibblesToBf16(uint32_t word) {
  uint32_t bits;
  // (word & 0x000f000f) | 0x43004300
  asm("lop3.b32 %0, %1, 0x000f000f, 0x43004300, 0xea;" : "=r"(bits) : "r"(word));
  return bits;
}

// Nibbles, low to high: r0b0 r2b0 r0b1 r2b1 r1b0 r3b0 r1b1 r3b1.
__device__ __forceinline__ TileOperand Int4Operand(uint32_t word) {
  TileOperand operand;
  operand.a[0] = NibblesToBf16(word);
  operand.a[2] = NibblesToBf16(word >> 4);
  operand.a[1] = NibblesToBf16(word >> 8);
  operand.a[3] = NibblesToBf16(word >> 12);
  return operand;
}

// Bytes `low` and `high` of a word, stored + 128, as bfloat16: integers up to 256 are exact.
template <uint32_t kLow, uint32_t kHigh>
__device__ __forceinline__ uint32_t BytesToBf16(uint32_t word) {
  constexpr uint32_t kMagic = 0x4b000000u;  // 2^23 as a float: the byte is its lowest
  const float a = __uint_as_float(__byte_perm(word, kMagic, 0x7440 | kLow)) - 8388736.0f;
  const float b = __uint_as_float(__byte_perm(word, kMagic, 0x7440 | kHigh)) - 8388736.0f;
  const __nv_bfloat162 pair = __floats2bfloat162_rn(a, b);
  uint32_t bits;
  memcpy(&bits, &pair, sizeof(bits));
  return bits;
}

// One word for each of the two output halves; bytes, low to high: r0 r2 r1 r3.
__device__ __forceinline__ TileOperand Int8Operand(uint32_t low_outputs, uint32_t high_outputs) {
  TileOperand operand;
  operand.a[0] = BytesToBf16<0, 2>(low_outputs);
  operand.a[1] = BytesToBf16<0, 2>(high_outputs);
  operand.a[2] = BytesToBf16<1, 3>(low_outputs);
  operand.a[3] = BytesToBf16<1, 3>(high_outputs);
  return operand;
}

// sums[c] += the sum of a tile's inputs for the columns of the lane (each row of A is ones).
__device__ __forceinline__ void AddInputs(float (&sums)[4], uint32_t b0, uint32_t b1) {
  constexpr uint32_t kOnes = 0x3f803f80u;
  MultiplyBf16(sums, kOnes, kOnes, kOnes, kOnes, b0, b1);
}

// A lane's operands of outputs 16j .. 16j + 15 of a tile, j = 0..3.
template <uint32_t kBits>
struct TileWords;

template <>
struct TileWords<4> {
  static constexpr float kBias = 136.0f;
  uint4 words;
  __device__ __forceinline__ void Load(const char* tile, uint32_t lane) {
    words = reinterpret_cast<const uint4*>(tile)[lane];
  }
  template <uint32_t kJ>
  __device__ __forceinline__ TileOperand Operand() const {
    return Int4Operand(kJ == 0 ? words.x : kJ == 1 ? words.y : kJ == 2 ? words.z : words.w);
  }
};

template <>
struct TileWords<8> {
  static constexpr float kBias = 0.0f;
  uint4 words[2];
  __device__ __forceinline__ void Load(const char* tile, uint32_t lane) {
    words[0] = reinterpret_cast<const uint4*>(tile)[lane * 2];
    words[1] = reinterpret_cast<const uint4*>(tile)[lane * 2 + 1];
  }
  template <uint32_t kJ>
  __device__ __forceinline__ TileOperand Operand() const {
    const uint4& pair = words[kJ / 2];
    return kJ % 2 == 0 ? Int8Operand(pair.x, pair.y) : Int8Operand(pair.z, pair.w);
  }
};

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_MOE_TILES_CUH_
