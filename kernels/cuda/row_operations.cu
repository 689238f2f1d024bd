// Embed, RmsNorm, SiluMul and GatherRows: one block or one grid row for each row.
#include "kernels/cuda/launch.h"
#include "kernels/cuda/numeric.cuh"

namespace spearfish::kernels {
namespace {

constexpr uint32_t kThreads = 256;
constexpr uint32_t kNormThreads = 512;
constexpr uint32_t kMaxGridY = 65535;

template <typename A, typename W>
__global__ void EmbedKernel(const int32_t* ids, const W* table, A* out, uint32_t dim) {
  const uint64_t row = blockIdx.x;
  const W* from = table + static_cast<uint64_t>(ids[row]) * dim;
  for (uint32_t i = threadIdx.x; i < dim; i += blockDim.x) {
    out[row * dim + i] = Narrow<A>(Widen(from[i]));
  }
}

// The residual is read back as it was stored, so that a later step sees what this one used.
template <typename A>
__device__ __forceinline__ float NormInput(const A* x, A* residual, uint64_t at) {
  if (residual == nullptr) return Widen(x[at]);
  const A sum = Narrow<A>(Widen(residual[at]) + Widen(x[at]));
  residual[at] = sum;
  return Widen(sum);
}

// Thread t has the elements t, t + threads, ...: a row's sum does not depend on other rows.
template <typename A>
__global__ void __launch_bounds__(kNormThreads)
    RmsNormKernel(const A* x, A* residual, const float* weight, A* out, uint32_t dim, float eps) {
  __shared__ float shared[kNormThreads / kWarpLanes];
  constexpr uint32_t kKept = 8;  // elements a thread keeps in registers: up to dim 4096
  const uint64_t row = uint64_t{blockIdx.x} * dim;
  float kept[kKept];
  float sum = 0;
#pragma unroll
  for (uint32_t j = 0; j < kKept; ++j) {
    const uint32_t i = threadIdx.x + j * kNormThreads;
    kept[j] = i < dim ? NormInput(x, residual, row + i) : 0.0f;
    sum = fmaf(kept[j], kept[j], sum);
  }
  for (uint32_t i = threadIdx.x + kKept * kNormThreads; i < dim; i += kNormThreads) {
    const float v = NormInput(x, residual, row + i);
    sum = fmaf(v, v, sum);
  }
  const float factor = 1.0f / sqrtf(BlockSum(sum, shared) / static_cast<float>(dim) + eps);
#pragma unroll
  for (uint32_t j = 0; j < kKept; ++j) {
    const uint32_t i = threadIdx.x + j * kNormThreads;
    if (i < dim) out[row + i] = Narrow<A>(kept[j] * factor * weight[i]);
  }
  const A* v = residual == nullptr ? x : residual;
  for (uint32_t i = threadIdx.x + kKept * kNormThreads; i < dim; i += kNormThreads) {
    out[row + i] = Narrow<A>(Widen(v[row + i]) * factor * weight[i]);
  }
}

template <typename A>
__global__ void SiluMulKernel(const A* gate_up, A* out, uint32_t dim, uint32_t num_rows) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= dim) return;
  for (uint64_t row = blockIdx.y; row < num_rows; row += gridDim.y) {
    const float gate = Widen(gate_up[row * 2 * dim + i]);
    const float up = Widen(gate_up[row * 2 * dim + dim + i]);
    out[row * dim + i] = Narrow<A>(gate / (1.0f + expf(-gate)) * up);
  }
}

template <typename A>
__global__ void GatherRowsKernel(const A* x, const int32_t* rows, A* out, uint32_t dim) {
  const A* from = x + static_cast<uint64_t>(rows[blockIdx.x]) * dim;
  A* to = out + uint64_t{blockIdx.x} * dim;
  for (uint32_t i = threadIdx.x; i < dim; i += blockDim.x) to[i] = from[i];
}

}  // namespace

void LaunchEmbed(const EmbedLaunch& launch, cudaStream_t stream) {
  WithType(launch.activations, [&](auto a) {
    WithType(launch.table_dtype, [&](auto w) {
      using A = decltype(a);
      using W = decltype(w);
      EmbedKernel<A, W><<<launch.num_rows, kThreads, 0, stream>>>(
          launch.ids, static_cast<const W*>(launch.table), static_cast<A*>(launch.out), launch.dim);
    });
  });
  SF_CUDA(cudaGetLastError());
}

void LaunchRmsNorm(const RmsNormLaunch& launch, cudaStream_t stream) {
  WithType(launch.activations, [&](auto a) {
    using A = decltype(a);
    RmsNormKernel<A><<<launch.num_rows, kNormThreads, 0, stream>>>(
        static_cast<const A*>(launch.x), static_cast<A*>(launch.residual), launch.weight,
        static_cast<A*>(launch.out), launch.dim, launch.eps);
  });
  SF_CUDA(cudaGetLastError());
}

void LaunchSiluMul(const SiluMulLaunch& launch, cudaStream_t stream) {
  const dim3 grid((launch.dim + kThreads - 1) / kThreads,
                  launch.num_rows < kMaxGridY ? launch.num_rows : kMaxGridY);
  WithType(launch.activations, [&](auto a) {
    using A = decltype(a);
    SiluMulKernel<A><<<grid, kThreads, 0, stream>>>(static_cast<const A*>(launch.gate_up),
                                                    static_cast<A*>(launch.out), launch.dim,
                                                    launch.num_rows);
  });
  SF_CUDA(cudaGetLastError());
}

void LaunchGatherRows(const GatherRowsLaunch& launch, cudaStream_t stream) {
  WithType(launch.activations, [&](auto a) {
    using A = decltype(a);
    GatherRowsKernel<A><<<launch.num_rows, kThreads, 0, stream>>>(
        static_cast<const A*>(launch.x), launch.rows, static_cast<A*>(launch.out), launch.dim);
  });
  SF_CUDA(cudaGetLastError());
}

}  // namespace spearfish::kernels
