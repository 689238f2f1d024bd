// One warp's part of attention on tensor cores: bfloat16, up to eight query heads.
#ifndef KERNELS_CUDA_ATTENTION_TENSOR_CUH_
#define KERNELS_CUDA_ATTENTION_TENSOR_CUH_

#include "kernels/cuda/attention_merge.cuh"
#include "kernels/cuda/attention_softmax.cuh"
#include "kernels/cuda/tensor_core.cuh"

namespace spearfish::kernels::attention {

// The running softmax of a warp over chunks of 32 keys. Keys and values go from memory to registers
// in 16-byte loads, all of a chunk (at kDim 256: of half a chunk) in flight together, and are
// operands as they lie: the inner dimension of a product may come in any order, and so may its
// columns. Rows 0..7 of the first operand are heads; in the second product rows 8..15 are what
// rounding the weights to bfloat16 left, so weights count with 16 bits.
template <uint32_t kDim>
class TensorState {
 public:
  static constexpr uint32_t kGroup = 8;

  __device__ void Clear() {
    max_ = -INFINITY;
    sum_ = 0;
#pragma unroll
    for (uint32_t n = 0; n < kDim / 8; ++n) {
#pragma unroll
      for (uint32_t c = 0; c < 4; ++c) values_[n][c] = 0;
    }
  }

  // q of `heads` heads, [heads, kDim].
  __device__ void LoadQueries(const bf16* q, uint32_t heads) {
#pragma unroll
    for (uint32_t i = 0; i < kDim / 32; ++i) {
      q_[i] = {0, 0, 0, 0};
      if (g() < heads) q_[i] = *reinterpret_cast<const uint4*>(q + g() * kDim + 32 * i + t() * 8);
    }
  }

  // Keys first .. first + 31 of the row's.
  __device__ void AddChunk(const AttentionLaunch& launch, const RowKeys& row, uint32_t kv_head,
                           uint32_t first) {
    const KvPlanes& kv = launch.kv;
    const uint32_t key = first + threadIdx.x % kWarpLanes;
    uint64_t offset = 0;  // of this lane's key in either plane, in bytes
    if (key < row.num_keys) {
      const auto block = static_cast<uint64_t>(row.blocks[key / kv.block_tokens]);
      const uint64_t in_block = uint64_t{kv_head} * kv.block_tokens + key % kv.block_tokens;
      offset = block * kv.block_stride + in_block * (kDim * sizeof(bf16));
    }
#pragma unroll 1
    for (uint32_t sub = 0; sub < 32 && first + sub < row.num_keys; sub += kKeys) {
      AddKeys(static_cast<const char*>(kv.k), static_cast<const char*>(kv.v), launch.scale, offset,
              sub, row.num_keys - first);
    }
  }

  // The next chunk, of which the row sees `count` keys (or all), from shared memory.
  template <uint32_t kKeyBytes, uint32_t kValueBytes>
  __device__ __forceinline__ void AddSharedChunk(const char* keys, const char* values, float scale,
                                                 uint32_t count) {
#pragma unroll 1
    for (uint32_t sub = 0; sub < kChunkKeys && sub < count; sub += kKeys) {
      float scores[kKeys / 8][4];
#pragma unroll
      for (uint32_t n = 0; n < kKeys / 8; ++n) {
        const char* key = keys + (sub + n * 8 + g()) * kKeyBytes + t() * 16;
#pragma unroll
        for (uint32_t c = 0; c < 4; ++c) scores[n][c] = 0;
#pragma unroll
        for (uint32_t i = 0; i < kDim / 32; ++i) {
          const uint4 k = *reinterpret_cast<const uint4*>(key + i * 64);
          MultiplyBf16(scores[n], q_[i].x, 0, q_[i].y, 0, k.x, k.y);
          MultiplyBf16(scores[n], q_[i].z, 0, q_[i].w, 0, k.z, k.w);
        }
      }
      TakeScores(scale, count - sub, scores);
#pragma unroll
      for (uint32_t s = 0; s < kKeys / 16; ++s) {
        uint4 v[4][kDim / 64];
#pragma unroll
        for (uint32_t r = 0; r < 4; ++r) {
          const uint32_t key = sub + s * 16 + 2 * t() + r % 2 + r / 2 * 8;
#pragma unroll
          for (uint32_t c = 0; c < kDim / 64; ++c) {
            v[r][c] = {0, 0, 0, 0};  // what is not there, or not the row's, must not count
            if (key < count) {
              v[r][c] =
                  *reinterpret_cast<const uint4*>(values + key * kValueBytes + c * 128 + g() * 16);
            }
          }
        }
        AddProducts(scores[2 * s], scores[2 * s + 1], v);
      }
    }
  }

  __device__ float max() const { return max_; }
  __device__ float sum() const { return sum_; }
  // Element (n / 8) * 64 + (2t + c) * 8 + n % 8 of head g.
  __device__ __forceinline__ float Value(uint32_t n, uint32_t c) const {
    return __fadd_rn(values_[n][c], values_[n][c + 2]);
  }

  __device__ void Store(float* max, float* sum, float* values) const {
    if (t() == 0) {
      max[g()] = max_;
      sum[g()] = sum_;
    }
#pragma unroll
    for (uint32_t c = 0; c < kDim / 64; ++c) {
#pragma unroll
      for (uint32_t j = 0; j < 8; ++j) {
        values[g() * kDim + c * 64 + 2 * t() * 8 + j] = Value(c * 8 + j, 0);
        values[g() * kDim + c * 64 + (2 * t() + 1) * 8 + j] = Value(c * 8 + j, 1);
      }
    }
  }

 private:
  static constexpr uint32_t kKeys = kDim > 128 ? 16 : 32;

  __device__ static uint32_t g() { return threadIdx.x % kWarpLanes / 4; }
  __device__ static uint32_t t() { return threadIdx.x % 4; }

  // 16 bytes of key `index` of the chunk, zeros behind the last.
  __device__ static uint4 Load(const char* plane, uint64_t offset, uint32_t index, uint32_t count,
                               uint32_t element) {
    const uint64_t at = __shfl_sync(kFullWarp, offset, static_cast<int>(index));
    if (index >= count) return {0, 0, 0, 0};
    return *reinterpret_cast<const uint4*>(plane + at + element * sizeof(bf16));
  }

  __device__ __forceinline__ static void LoadValues(const char* plane, uint64_t offset,
                                                    uint32_t sub, uint32_t count,
                                                    uint4 (&v)[kKeys / 16][4][kDim / 64]) {
#pragma unroll
    for (uint32_t s = 0; s < kKeys / 16; ++s) {
#pragma unroll
      for (uint32_t r = 0; r < 4; ++r) {
        const uint32_t key = sub + s * 16 + 2 * t() + r % 2 + r / 2 * 8;
#pragma unroll
        for (uint32_t c = 0; c < kDim / 64; ++c) {
          v[s][r][c] = Load(plane, offset, key, count, c * 64 + g() * 8);
        }
      }
    }
  }

  // Keys sub .. sub + kKeys - 1 of a chunk that has `count`.
  __device__ __forceinline__ void AddKeys(const char* keys, const char* values, float scale,
                                          uint64_t offset, uint32_t sub, uint32_t count) {
    uint4 k[kKeys / 8][kDim / 32];
#pragma unroll
    for (uint32_t n = 0; n < kKeys / 8; ++n) {
#pragma unroll
      for (uint32_t i = 0; i < kDim / 32; ++i) {
        k[n][i] = Load(keys, offset, sub + n * 8 + g(), count, 32 * i + t() * 8);
      }
    }
    uint4 v[kKeys / 16][4][kDim / 64];
    if constexpr (kDim <= 128) LoadValues(values, offset, sub, count, v);
    float scores[kKeys / 8][4];
#pragma unroll
    for (uint32_t n = 0; n < kKeys / 8; ++n) {
#pragma unroll
      for (uint32_t c = 0; c < 4; ++c) scores[n][c] = 0;
#pragma unroll
      for (uint32_t i = 0; i < kDim / 32; ++i) {
        MultiplyBf16(scores[n], q_[i].x, 0, q_[i].y, 0, k[n][i].x, k[n][i].y);
        MultiplyBf16(scores[n], q_[i].z, 0, q_[i].w, 0, k[n][i].z, k[n][i].w);
      }
    }
    if constexpr (kDim > 128) LoadValues(values, offset, sub, count, v);
    TakeScores(scale, count - sub, scores);  // sub is below count
#pragma unroll
    for (uint32_t s = 0; s < kKeys / 16; ++s) AddProducts(scores[2 * s], scores[2 * s + 1], v[s]);
  }

  // Scores become weights; what was summed before is rescaled.
  __device__ __forceinline__ void TakeScores(float scale, uint32_t count,
                                             float (&scores)[kKeys / 8][4]) {
    const float old = SoftmaxRow<0>(scale, count, scores, max_, sum_);
#pragma unroll
    for (uint32_t n = 0; n < kDim / 8; ++n) {
#pragma unroll
      for (uint32_t c = 0; c < 4; ++c) values_[n][c] *= old;
    }
  }

  // 16 keys: weights of the first and the last eight; their values.
  __device__ __forceinline__ void AddProducts(const float (&first)[4], const float (&last)[4],
                                              const uint4 (&v)[4][kDim / 64]) {
    const SplitWeights a(first[0], first[1]);
    const SplitWeights z(last[0], last[1]);
#pragma unroll
    for (uint32_t c = 0; c < kDim / 64; ++c) {
#pragma unroll
      for (uint32_t j = 0; j < 8; ++j) {
        const uint32_t b0 = ValuePair(v[0][c], v[1][c], j);
        const uint32_t b1 = ValuePair(v[2][c], v[3][c], j);
        MultiplyBf16(values_[c * 8 + j], a.high, a.low, z.high, z.low, b0, b1);
      }
    }
  }

  uint4 q_[kDim / 32];
  float max_;
  float sum_;
  float values_[kDim / 8][4];
};

}  // namespace spearfish::kernels::attention

#endif  // KERNELS_CUDA_ATTENTION_TENSOR_CUH_
