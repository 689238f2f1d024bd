// INT8 weights on their way to the tensor cores.
#ifndef KERNELS_CUDA_INT8_WEIGHTS_CUH_
#define KERNELS_CUDA_INT8_WEIGHTS_CUH_

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>

#include "kernels/cuda/tensor_core.cuh"

namespace spearfish::kernels {

// The signed bytes kLow and kHigh of a word as bfloat16, exactly. With 0x43 above a byte b of
// seven bits the bfloat16 is 128 + b. The eighth bit, which stands for -128, would carry into the
// exponent; kept apart it makes 256 of 128, just what must be subtracted.
template <uint32_t kLow, uint32_t kHigh>
__device__ __forceinline__ uint32_t SignedBytesToBf16(uint32_t word) {
  constexpr uint32_t kMagic = 0x43434343u;
  const uint32_t bytes = __byte_perm(word, kMagic, 0x4040 | kLow | (kHigh << 8));
  const uint32_t biased = bytes & 0xff7fff7fu;
  const uint32_t bias = bytes & 0xff80ff80u;
  __nv_bfloat162 value;
  __nv_bfloat162 subtrahend;
  memcpy(&value, &biased, sizeof(value));
  memcpy(&subtrahend, &bias, sizeof(subtrahend));
  value = __hsub2(value, subtrahend);
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return bits;
}

// A lane's part of 16 outputs x 64 inputs: with g = lane / 4, t = lane % 4 the inputs 16t .. 16t +
// 15 of outputs g and g + 8, four of them for each of four instructions.
struct Int8Operands {
  uint32_t a[4][4];

  // The 16 bytes of output g and those of output g + 8.
  __device__ __forceinline__ void Widen(const uint4& low, const uint4& high) {
    const uint32_t low_words[4] = {low.x, low.y, low.z, low.w};
    const uint32_t high_words[4] = {high.x, high.y, high.z, high.w};
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      a[j][0] = SignedBytesToBf16<0, 1>(low_words[j]);
      a[j][1] = SignedBytesToBf16<0, 1>(high_words[j]);
      a[j][2] = SignedBytesToBf16<2, 3>(low_words[j]);
      a[j][3] = SignedBytesToBf16<2, 3>(high_words[j]);
    }
  }
};

// sums += weights x, the same 64 inputs of 8 rows. The lane gives the inputs 16t .. 16t + 15 of row
// g: both operands agree on which inputs an instruction takes, so their order there does not
// matter, and all loads are of 16 bytes.
__device__ __forceinline__ void MultiplyInt8(float (&sums)[4], const Int8Operands& weights,
                                             const uint4 (&x)[2]) {
  const uint32_t words[8] = {x[0].x, x[0].y, x[0].z, x[0].w, x[1].x, x[1].y, x[1].z, x[1].w};
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    MultiplyBf16(sums, weights.a[j][0], weights.a[j][1], weights.a[j][2], weights.a[j][3],
                 words[2 * j], words[2 * j + 1]);
  }
}

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_INT8_WEIGHTS_CUH_
