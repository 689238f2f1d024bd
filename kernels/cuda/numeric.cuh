// Activation types and sums over a warp or a block, the same order every time.
#ifndef KERNELS_CUDA_NUMERIC_CUH_
#define KERNELS_CUDA_NUMERIC_CUH_

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>

#include "common/tensor/dtype.h"
#include "kernels/cuda/cuda_check.h"

namespace spearfish::kernels {

using bf16 = __nv_bfloat16;
inline constexpr unsigned kFullWarp = 0xffffffffu;
inline constexpr uint32_t kWarpLanes = 32;

__device__ __forceinline__ float Widen(float x) { return x; }
__device__ __forceinline__ float Widen(bf16 x) { return __bfloat162float(x); }
__device__ __forceinline__ float Widen(int8_t x) { return static_cast<float>(x); }

template <typename T>
__device__ __forceinline__ T Narrow(float x);
template <>
__device__ __forceinline__ float Narrow<float>(float x) {
  return x;
}
template <>
__device__ __forceinline__ bf16 Narrow<bf16>(float x) {
  return __float2bfloat16_rn(x);
}

// The two bfloat16 of a word, low half first.
__device__ __forceinline__ float2 WidenPair(uint32_t word) {
  return {__uint_as_float(word << 16), __uint_as_float(word & 0xffff0000u)};
}

// Eight values from a 16-byte aligned address.
__device__ __forceinline__ void Load8(const bf16* from, float (&to)[8]) {
  const uint4 words = *reinterpret_cast<const uint4*>(from);
  const uint32_t parts[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 pair = WidenPair(parts[i]);
    to[2 * i] = pair.x;
    to[2 * i + 1] = pair.y;
  }
}
__device__ __forceinline__ void Load8(const float* from, float (&to)[8]) {
  const float4 low = reinterpret_cast<const float4*>(from)[0];
  const float4 high = reinterpret_cast<const float4*>(from)[1];
  to[0] = low.x, to[1] = low.y, to[2] = low.z, to[3] = low.w;
  to[4] = high.x, to[5] = high.y, to[6] = high.z, to[7] = high.w;
}

// From an 8-byte aligned address.
__device__ __forceinline__ void Load8(const int8_t* from, float (&to)[8]) {
  const uint2 words = *reinterpret_cast<const uint2*>(from);
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const uint32_t word = i < 4 ? words.x : words.y;
    to[i] = Widen(static_cast<int8_t>(word >> (i % 4 * 8)));
  }
}

// Eight values to a 16-byte aligned address, rounded.
__device__ __forceinline__ void Store8(const float (&from)[8], bf16* to) {
  __nv_bfloat162 pairs[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) pairs[i] = __floats2bfloat162_rn(from[2 * i], from[2 * i + 1]);
  uint4 words;
  memcpy(&words, pairs, sizeof(words));
  *reinterpret_cast<uint4*>(to) = words;
}
__device__ __forceinline__ void Store8(const float (&from)[8], float* to) {
  reinterpret_cast<float4*>(to)[0] = {from[0], from[1], from[2], from[3]};
  reinterpret_cast<float4*>(to)[1] = {from[4], from[5], from[6], from[7]};
}

// Every lane gets the sum (the maximum) of all lanes.
__device__ __forceinline__ float WarpSum(float x) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(kFullWarp, x, step);
  return x;
}
__device__ __forceinline__ double WarpSum(double x) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(kFullWarp, x, step);
  return x;
}
__device__ __forceinline__ float WarpMax(float x) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(kFullWarp, x, step));
  return x;
}

// Every thread gets the block's sum. `shared` holds one value a warp; called by all threads of a
// block of whole warps; may be called again at once.
template <typename T>
__device__ __forceinline__ T BlockSum(T x, T* shared) {
  x = WarpSum(x);
  const uint32_t num_warps = blockDim.x / kWarpLanes;
  __syncthreads();
  if (threadIdx.x % kWarpLanes == 0) shared[threadIdx.x / kWarpLanes] = x;
  __syncthreads();
  T sum = 0;
  for (uint32_t w = 0; w < num_warps; ++w) sum += shared[w];
  return sum;
}

// Calls `visit` with a value of the type that `dtype` (BF16 or F32) stands for.
template <typename Visit>
void WithType(DType dtype, const Visit& visit) {
  if (dtype == DType::kBF16) {
    visit(bf16{});
  } else {
    visit(float{});
  }
}

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_NUMERIC_CUH_
