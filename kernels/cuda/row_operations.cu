// Embed, RmsNorm, SiluMul and GatherRows: one block or one grid row for each row. A thread takes
// kWidth elements side by side: kWide where rows are made of so many, else one.
#include "kernels/cuda/dependent_launch.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/numeric.cuh"

namespace spearfish::kernels {
namespace {

constexpr uint32_t kThreads = 256;
constexpr uint32_t kNormThreads = 512;
constexpr uint32_t kMaxGridY = 65535;
constexpr uint32_t kWide = 8;

template <typename T>
__device__ __forceinline__ void Load(const T* from, float (&to)[kWide]) {
  Load8(from, to);
}
template <typename T>
__device__ __forceinline__ void Load(const T* from, float (&to)[1]) {
  to[0] = Widen(*from);
}
template <typename T>
__device__ __forceinline__ void Store(const float (&from)[kWide], T* to) {
  Store8(from, to);
}
template <typename T>
__device__ __forceinline__ void Store(const float (&from)[1], T* to) {
  *to = Narrow<T>(from[0]);
}

// Embed and GatherRows. An embedding may lie in host memory, where every turn of the loop is a
// round trip over the link.
template <typename A, typename W, uint32_t kWidth>
__global__ void TakeRowsKernel(const int32_t* rows, const W* table, A* out, uint32_t dim) {
  StartInOrder();
  const W* from = table + static_cast<uint64_t>(rows[blockIdx.x]) * dim;
  A* to = out + uint64_t{blockIdx.x} * dim;
  for (uint32_t i = threadIdx.x * kWidth; i < dim; i += blockDim.x * kWidth) {
    float values[kWidth];
    Load(from + i, values);
    Store(values, to + i);
  }
}

// The residual is read back as it was stored, so that a later step sees what this one used.
template <typename A, uint32_t kWidth>
__device__ __forceinline__ void LoadNormInput(const A* x, A* residual, float (&values)[kWidth]) {
  Load(x, values);
  if (residual == nullptr) return;
  float before[kWidth];
  Load(residual, before);
#pragma unroll
  for (uint32_t c = 0; c < kWidth; ++c) values[c] = Widen(Narrow<A>(before[c] + values[c]));
  Store(values, residual);
}

template <uint32_t kWidth>
__device__ __forceinline__ float AddSquares(const float (&values)[kWidth], float sum) {
#pragma unroll
  for (uint32_t c = 0; c < kWidth; ++c) sum = fmaf(values[c], values[c], sum);
  return sum;
}

template <typename A, uint32_t kWidth>
__device__ __forceinline__ void StoreNormed(float (&values)[kWidth], const float (&weights)[kWidth],
                                            float factor, A* out) {
#pragma unroll
  for (uint32_t c = 0; c < kWidth; ++c) values[c] = values[c] * factor * weights[c];
  Store(values, out);
}

// Thread t has the elements from t * kWidth, (t + threads) * kWidth, ... on: a row's sum does not
// depend on other rows.
template <typename A, uint32_t kWidth>
__global__ void __launch_bounds__(kNormThreads)
    RmsNormKernel(const A* x, A* residual, const float* weight, A* out, uint32_t dim, float eps) {
  __shared__ float shared[kNormThreads / kWarpLanes];
  constexpr uint32_t kKept = kWide / kWidth;  // that a thread keeps in registers: up to dim 4096
  constexpr uint32_t kStep = kNormThreads * kWidth;
  const uint32_t begin = threadIdx.x * kWidth;
  const uint64_t row = uint64_t{blockIdx.x} * dim;
  x += row;
  out += row;
  if (residual != nullptr) residual += row;
  float kept[kKept][kWidth];
  float weights[kKept][kWidth];
  StartKernelAfter();
#pragma unroll
  for (uint32_t j = 0; j < kKept; ++j) {
    if (begin + j * kStep < dim) Load(weight + begin + j * kStep, weights[j]);
  }
  WaitForKernelsBefore();
  float sum = 0;
#pragma unroll
  for (uint32_t j = 0; j < kKept; ++j) {
    const uint32_t i = begin + j * kStep;
    if (i >= dim) break;
    LoadNormInput(x + i, residual == nullptr ? nullptr : residual + i, kept[j]);
    sum = AddSquares(kept[j], sum);
  }
  for (uint32_t i = begin + kKept * kStep; i < dim; i += kStep) {
    float values[kWidth];
    LoadNormInput(x + i, residual == nullptr ? nullptr : residual + i, values);
    sum = AddSquares(values, sum);
  }
  const float factor = 1.0f / sqrtf(BlockSum(sum, shared) / static_cast<float>(dim) + eps);
#pragma unroll
  for (uint32_t j = 0; j < kKept; ++j) {
    const uint32_t i = begin + j * kStep;
    if (i < dim) StoreNormed(kept[j], weights[j], factor, out + i);
  }
  const A* again = residual == nullptr ? x : residual;
  for (uint32_t i = begin + kKept * kStep; i < dim; i += kStep) {
    float values[kWidth];
    float here[kWidth];
    Load(again + i, values);
    Load(weight + i, here);
    StoreNormed(values, here, factor, out + i);
  }
}

template <typename A>
__global__ void SiluMulKernel(const A* gate_up, A* out, uint32_t dim, uint32_t num_rows) {
  StartInOrder();
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= dim) return;
  for (uint64_t row = blockIdx.y; row < num_rows; row += gridDim.y) {
    const float gate = Widen(gate_up[row * 2 * dim + i]);
    const float up = Widen(gate_up[row * 2 * dim + dim + i]);
    out[row * dim + i] = Narrow<A>(gate / (1.0f + expf(-gate)) * up);
  }
}

template <typename A, typename W>
void TakeRows(const int32_t* rows, const W* table, A* out, uint32_t num_rows, uint32_t dim,
              cudaStream_t stream) {
  const auto kernel = dim % kWide == 0 ? TakeRowsKernel<A, W, kWide> : TakeRowsKernel<A, W, 1>;
  LaunchDependent(kernel, {dim3(num_rows), dim3(kThreads)}, stream, rows, table, out, dim);
}

}  // namespace

void LaunchEmbed(const EmbedLaunch& launch, cudaStream_t stream) {
  WithType(launch.activations, [&](auto a) {
    WithType(launch.table_dtype, [&](auto w) {
      using A = decltype(a);
      using W = decltype(w);
      TakeRows(launch.ids, static_cast<const W*>(launch.table), static_cast<A*>(launch.out),
               launch.num_rows, launch.dim, stream);
    });
  });
}

void LaunchRmsNorm(const RmsNormLaunch& launch, cudaStream_t stream) {
  WithType(launch.activations, [&](auto a) {
    using A = decltype(a);
    const auto kernel = launch.dim % kWide == 0 ? RmsNormKernel<A, kWide> : RmsNormKernel<A, 1>;
    LaunchDependent(kernel, {dim3(launch.num_rows), dim3(kNormThreads)}, stream,
                    static_cast<const A*>(launch.x), static_cast<A*>(launch.residual),
                    launch.weight, static_cast<A*>(launch.out), launch.dim, launch.eps);
  });
}

void LaunchSiluMul(const SiluMulLaunch& launch, cudaStream_t stream) {
  const dim3 grid((launch.dim + kThreads - 1) / kThreads,
                  launch.num_rows < kMaxGridY ? launch.num_rows : kMaxGridY);
  WithType(launch.activations, [&](auto a) {
    using A = decltype(a);
    LaunchDependent(SiluMulKernel<A>, {grid, dim3(kThreads)}, stream,
                    static_cast<const A*>(launch.gate_up), static_cast<A*>(launch.out), launch.dim,
                    launch.num_rows);
  });
}

void LaunchGatherRows(const GatherRowsLaunch& launch, cudaStream_t stream) {
  WithType(launch.activations, [&](auto a) {
    using A = decltype(a);
    TakeRows(launch.rows, static_cast<const A*>(launch.x), static_cast<A*>(launch.out),
             launch.num_rows, launch.dim, stream);
  });
}

}  // namespace spearfish::kernels
