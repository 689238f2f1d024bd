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

// What does not depend on the head's values, for the pairs i = lane, lane + 32, ... of a lane:
// known before they are.
class Rotation {
 public:
  // `norm` may be null.
  __device__ Rotation(const float* norm, int32_t position, const float* inv_freq,
                      uint32_t num_pairs)
      : num_pairs_(num_pairs), has_norm_(norm != nullptr) {
    const uint32_t lane = threadIdx.x % kWarpLanes;
#pragma unroll
    for (uint32_t j = 0; j < kMaxPairs; ++j) {
      const uint32_t i = lane + j * kWarpLanes;
      if (i >= num_pairs) break;
      SineCosine(position, inv_freq[i], sin_[j], cos_[j]);
      low_[j] = has_norm_ ? norm[i] : 1.0f;
      high_[j] = has_norm_ ? norm[num_pairs + i] : 1.0f;
    }
  }

  template <typename A>
  __device__ void Apply(const A* in, float eps, A* out) const {
    const uint32_t lane = threadIdx.x % kWarpLanes;
    float low[kMaxPairs];
    float high[kMaxPairs];
    float sum = 0;
#pragma unroll
    for (uint32_t j = 0; j < kMaxPairs; ++j) {
      const uint32_t i = lane + j * kWarpLanes;
      low[j] = i < num_pairs_ ? Widen(in[i]) : 0.0f;
      high[j] = i < num_pairs_ ? Widen(in[num_pairs_ + i]) : 0.0f;
      sum = fmaf(low[j], low[j], sum);
      sum = fmaf(high[j], high[j], sum);
    }
    const float mean = WarpSum(sum) / static_cast<float>(2 * num_pairs_);
    const float factor = has_norm_ ? 1.0f / sqrtf(mean + eps) : 1.0f;
#pragma unroll
    for (uint32_t j = 0; j < kMaxPairs; ++j) {
      const uint32_t i = lane + j * kWarpLanes;
      if (i >= num_pairs_) break;
      const float a = low[j] * factor * low_[j];
      const float b = high[j] * factor * high_[j];
      out[i] = Narrow<A>(a * cos_[j] - b * sin_[j]);
      out[num_pairs_ + i] = Narrow<A>(b * cos_[j] + a * sin_[j]);
    }
  }

 private:
  const uint32_t num_pairs_;
  const bool has_norm_;
  float sin_[kMaxPairs];
  float cos_[kMaxPairs];
  float low_[kMaxPairs];
  float high_[kMaxPairs];
};

// Where a token's keys (or values) of a head go; null for none.
template <typename A>
__device__ A* CacheRow(const KvPlanes& kv, void* plane, int64_t slot, uint32_t kv_head) {
  if (slot < 0) return nullptr;
  const uint64_t block = static_cast<uint64_t>(slot) / kv.block_tokens;
  const uint64_t offset = static_cast<uint64_t>(slot) % kv.block_tokens;
  auto* begin = reinterpret_cast<A*>(static_cast<char*>(plane) + block * kv.block_stride);
  return begin + (kv_head * uint64_t{kv.block_tokens} + offset) * kv.head_dim;
}

template <typename A>
__global__ void __launch_bounds__(kWarps* kWarpLanes)
    QkNormRopeAppendKernel(const QkNormRopeAppendLaunch launch) {
  StartKernelAfter();
  const KvPlanes& kv = launch.kv;
  const uint32_t head = blockIdx.y * kWarps + threadIdx.x / kWarpLanes;
  const uint32_t all_heads = launch.num_heads + 2 * kv.num_kv_heads;
  if (head >= all_heads) return;
  const uint64_t row = blockIdx.x;
  const uint32_t dim = kv.head_dim;
  const A* in = static_cast<const A*>(launch.qkv) + (row * all_heads + head) * dim;
  if (head >= launch.num_heads + kv.num_kv_heads) {
    A* out = CacheRow<A>(kv, kv.v, launch.slots[row], head - launch.num_heads - kv.num_kv_heads);
    WaitForKernelsBefore();
    if (out == nullptr) return;
    for (uint32_t i = threadIdx.x % kWarpLanes; i < dim; i += kWarpLanes) out[i] = in[i];
    return;
  }
  const bool is_key = head >= launch.num_heads;
  A* out = is_key ? CacheRow<A>(kv, kv.k, launch.slots[row], head - launch.num_heads)
                  : static_cast<A*>(launch.q_out) + (row * launch.num_heads + head) * dim;
  const Rotation rotation(is_key ? launch.k_norm : launch.q_norm, launch.positions[row],
                          launch.inv_freq, dim / 2);
  WaitForKernelsBefore();
  if (out != nullptr) rotation.Apply(in, launch.eps, out);
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
