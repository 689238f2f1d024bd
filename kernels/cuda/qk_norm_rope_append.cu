// QkNormRopeAppend: one warp for each head of a row.
#include "kernels/cuda/dependent_launch.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/numeric.cuh"

namespace spearfish::kernels {
namespace {

constexpr uint32_t kWarps = 4;
constexpr uint32_t kMaxPairs = 8;  // (i, i + D/2) a lane, up to head_dim 512

// The angle is reduced in float64, to half turns from -1 to 1: position * inv_freq in float32 would
// lose 2e-3 radians at position 32768. sincospif needs no code for large angles.
__device__ __forceinline__ void SineCosine(int32_t position, float inv_freq, float& sin,
                                           float& cos) {
  constexpr double kTurnsARadian = 0.15915494309189533576888376337251;
  const double turns =
      static_cast<double>(position) * static_cast<double>(inv_freq) * kTurnsARadian;
  sincospif(static_cast<float>(2 * (turns - rint(turns))), &sin, &cos);
}

template <typename A>
__device__ void NormRotate(const A* in, const float* norm, float eps, int32_t position,
                           const float* inv_freq, uint32_t head_dim, A* out) {
  const uint32_t lane = threadIdx.x % kWarpLanes;
  const uint32_t half = head_dim / 2;
  float low[kMaxPairs];
  float high[kMaxPairs];
  float sum = 0;
#pragma unroll
  for (uint32_t j = 0; j < kMaxPairs; ++j) {
    const uint32_t i = lane + j * kWarpLanes;
    low[j] = i < half ? Widen(in[i]) : 0.0f;
    high[j] = i < half ? Widen(in[half + i]) : 0.0f;
    sum = fmaf(low[j], low[j], sum);
    sum = fmaf(high[j], high[j], sum);
  }
  const float factor =
      norm == nullptr ? 1.0f : 1.0f / sqrtf(WarpSum(sum) / static_cast<float>(head_dim) + eps);
#pragma unroll
  for (uint32_t j = 0; j < kMaxPairs; ++j) {
    const uint32_t i = lane + j * kWarpLanes;
    if (i >= half) break;
    const float a = norm == nullptr ? low[j] : low[j] * factor * norm[i];
    const float b = norm == nullptr ? high[j] : high[j] * factor * norm[half + i];
    float sin;
    float cos;
    SineCosine(position, inv_freq[i], sin, cos);
    out[i] = Narrow<A>(a * cos - b * sin);
    out[half + i] = Narrow<A>(b * cos + a * sin);
  }
}

// Warps take the heads of q, then of k, then of v.
template <typename A>
__global__ void __launch_bounds__(kWarps* kWarpLanes)
    QkNormRopeAppendKernel(const QkNormRopeAppendLaunch launch) {
  StartInOrder();
  const KvPlanes& kv = launch.kv;
  const uint32_t head = blockIdx.y * kWarps + threadIdx.x / kWarpLanes;
  if (head >= launch.num_heads + 2 * kv.num_kv_heads) return;
  const uint64_t row = blockIdx.x;
  const uint32_t dim = kv.head_dim;
  const A* in = static_cast<const A*>(launch.qkv) +
                (row * (launch.num_heads + 2 * kv.num_kv_heads) + head) * dim;
  if (head < launch.num_heads) {
    A* out = static_cast<A*>(launch.q_out) + (row * launch.num_heads + head) * dim;
    NormRotate(in, launch.q_norm, launch.eps, launch.positions[row], launch.inv_freq, dim, out);
    return;
  }
  const int64_t slot = launch.slots[row];
  if (slot < 0) return;
  const bool is_key = head < launch.num_heads + kv.num_kv_heads;
  const uint32_t kv_head = head - launch.num_heads - (is_key ? 0 : kv.num_kv_heads);
  const uint64_t block = static_cast<uint64_t>(slot) / kv.block_tokens;
  const uint64_t offset = static_cast<uint64_t>(slot) % kv.block_tokens;
  char* plane = static_cast<char*>(is_key ? kv.k : kv.v) + block * kv.block_stride;
  A* out = reinterpret_cast<A*>(plane) + (kv_head * uint64_t{kv.block_tokens} + offset) * dim;
  if (is_key) {
    NormRotate(in, launch.k_norm, launch.eps, launch.positions[row], launch.inv_freq, dim, out);
    return;
  }
  for (uint32_t i = threadIdx.x % kWarpLanes; i < dim; i += kWarpLanes) out[i] = in[i];
}

}  // namespace

void LaunchQkNormRopeAppend(const QkNormRopeAppendLaunch& launch, cudaStream_t stream) {
  const uint32_t heads = launch.num_heads + 2 * launch.kv.num_kv_heads;
  const dim3 grid(launch.num_rows, (heads + kWarps - 1) / kWarps);
  WithType(launch.activations, [&](auto a) {
    LaunchDependent(QkNormRopeAppendKernel<decltype(a)>, {grid, dim3(kWarps * kWarpLanes)}, stream,
                    launch);
  });
}

}  // namespace spearfish::kernels
