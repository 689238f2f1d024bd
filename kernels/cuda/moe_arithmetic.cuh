// The steps of an expert between its products, rounded the same wherever they are compiled: decode
// and prefill kernels must give a row the same bits, so nothing here is left to be fused.
#ifndef KERNELS_CUDA_MOE_ARITHMETIC_CUH_
#define KERNELS_CUDA_MOE_ARITHMETIC_CUH_

#include "kernels/cuda/numeric.cuh"

namespace spearfish::kernels {

// The scales of outputs g, g + 8, g + 16, ... of a group: eight bfloat16 side by side.
struct LaneScales {
  float values[8];
  __device__ __forceinline__ LaneScales(const char* group, uint32_t g) {
    Load8(reinterpret_cast<const bf16*>(group) + g * 8, values);
  }
};

// silu(gate) * up as the sum of two bfloat16.
struct SplitActivation {
  bf16 high;
  bf16 low;
  __device__ __forceinline__ SplitActivation(float gate, float up) {
    const float value = __fmul_rn(__fdiv_rn(gate, __fadd_rn(1.0f, __expf(-gate))), up);
    high = __float2bfloat16_rn(value);
    low = __float2bfloat16_rn(__fsub_rn(value, __bfloat162float(high)));
  }
};

// The first product of a run of tiles in one scale group: what the stored weights' zero point
// added is taken off, and the rest scaled and added to `sum`.
__device__ __forceinline__ float AddScaled(float sum, float product, float inputs_sum, float zero,
                                           float scale) {
  return fmaf(fmaf(-zero, inputs_sum, product), scale, sum);
}

// The same for the second product of a unit, whose inputs are pairs of high and low parts.
__device__ __forceinline__ float PairBias(float high_inputs, float low_inputs, float zero) {
  return __fmul_rn(-zero, __fadd_rn(high_inputs, low_inputs));
}
__device__ __forceinline__ float PairOutput(float high, float low, float bias, float scale) {
  return __fmul_rn(__fadd_rn(__fadd_rn(high, low), bias), scale);
}

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_MOE_ARITHMETIC_CUH_
