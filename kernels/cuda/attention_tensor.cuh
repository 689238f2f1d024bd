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

  // kKeys keys and values, as many as are taken at once, of a chunk.
  static constexpr uint32_t kKeys = kDim > 128 ? 16 : 32;
  struct Words {
    uint4 k[kKeys / 8][kDim / 32];
    uint4 v[kKeys / 16][4][kDim / 64];
  };
  static constexpr bool kWholeChunks = kKeys == kChunkKeys;

  // Keys first .. first + 31 of the row's, where kWholeChunks; all are asked for together.
  __device__ __forceinline__ static void LoadChunk(const AttentionLaunch& launch,
                                                   const RowKeys& row, uint32_t kv_head,
                                                   uint32_t first, Words& words) {
    const uint64_t offset = KeyOffset(launch.kv, row, kv_head, first);
    LoadKeys(launch.kv, offset, 0, row.num_keys - first, words);
    LoadValues(launch.kv, offset, 0, row.num_keys - first, words);
  }
  // `count`: keys that the row sees from the first on.
  __device__ __forceinline__ void AddWords(const Words& words, float scale, uint32_t count) {
    float scores[kKeys / 8][4];
    Score(words, scores);
    TakeScores(scale, count, scores);
    AddValues(words, scores);
  }
  __device__ void AddChunk(const AttentionLaunch& launch, const RowKeys& row, uint32_t kv_head,
                           uint32_t first) {
    const uint64_t offset = KeyOffset(launch.kv, row, kv_head, first);
    const uint32_t count = row.num_keys - first;
#pragma unroll 1
    for (uint32_t sub = 0; sub < kChunkKeys && sub < count; sub += kKeys) {
      Words words;
      float scores[kKeys / 8][4];
      LoadKeys(launch.kv, offset, sub, count, words);
      Score(words, scores);
      LoadValues(launch.kv, offset, sub, count, words);  // there are no registers for both
      TakeScores(launch.scale, count - sub, scores);
      AddValues(words, scores);
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

  // `stride`: from a head's values to the next's, 8 past a multiple of 32.
  __device__ void Store(float* max, float* sum, float* values, uint32_t stride) const {
    if (t() == 0) {
      max[g()] = max_;
      sum[g()] = sum_;
    }
    // A lane has 16 values side by side in each 64: it writes its quads in an order in which the
    // lanes of a store meet no bank twice.
    const bool swaps = t() >= 2;
#pragma unroll
    for (uint32_t c = 0; c < kDim / 64; ++c) {
      float* to = values + g() * stride + c * 64 + t() * 16;
#pragma unroll
      for (uint32_t i = 0; i < 4; ++i) {
        const float4 straight = Quad(c, i);
        const float4 swapped = Quad(c, i ^ 1);
        *reinterpret_cast<float4*>(to + (swaps ? i ^ 1 : i) * 4) = swaps ? swapped : straight;
      }
    }
  }

 private:
  __device__ static uint32_t g() { return threadIdx.x % kWarpLanes / 4; }
  __device__ static uint32_t t() { return threadIdx.x % 4; }

  // Values 4i .. 4i + 3 of the lane's 16 in the c-th 64.
  __device__ __forceinline__ float4 Quad(uint32_t c, uint32_t i) const {
    const uint32_t n = c * 8 + i % 2 * 4;
    return {Value(n, i / 2), Value(n + 1, i / 2), Value(n + 2, i / 2), Value(n + 3, i / 2)};
  }

  // Of the lane's key of a chunk in either plane, in bytes.
  __device__ __forceinline__ static uint64_t KeyOffset(const KvPlanes& kv, const RowKeys& row,
                                                       uint32_t kv_head, uint32_t first) {
    const uint32_t key = first + threadIdx.x % kWarpLanes;
    if (key >= row.num_keys) return 0;
    const auto block = static_cast<uint64_t>(row.blocks[key / kv.block_tokens]);
    const uint64_t in_block = uint64_t{kv_head} * kv.block_tokens + key % kv.block_tokens;
    return block * kv.block_stride + in_block * (kDim * sizeof(bf16));
  }

  // 16 bytes of key `index` of the chunk, zeros behind the last.
  __device__ static uint4 Load(const void* plane, uint64_t offset, uint32_t index, uint32_t count,
                               uint32_t element) {
    const uint64_t at = __shfl_sync(kFullWarp, offset, static_cast<int>(index));
    if (index >= count) return {0, 0, 0, 0};
    return *reinterpret_cast<const uint4*>(static_cast<const char*>(plane) + at +
                                           element * sizeof(bf16));
  }

  // Keys sub .. sub + kKeys - 1 of a chunk of which the row sees `count`.
  __device__ __forceinline__ static void LoadKeys(const KvPlanes& kv, uint64_t offset, uint32_t sub,
                                                  uint32_t count, Words& words) {
#pragma unroll
    for (uint32_t n = 0; n < kKeys / 8; ++n) {
#pragma unroll
      for (uint32_t i = 0; i < kDim / 32; ++i) {
        words.k[n][i] = Load(kv.k, offset, sub + n * 8 + g(), count, 32 * i + t() * 8);
      }
    }
  }
  __device__ __forceinline__ static void LoadValues(const KvPlanes& kv, uint64_t offset,
                                                    uint32_t sub, uint32_t count, Words& words) {
#pragma unroll
    for (uint32_t s = 0; s < kKeys / 16; ++s) {
#pragma unroll
      for (uint32_t r = 0; r < 4; ++r) {
        const uint32_t key = sub + s * 16 + 2 * t() + r % 2 + r / 2 * 8;
#pragma unroll
        for (uint32_t c = 0; c < kDim / 64; ++c) {
          words.v[s][r][c] = Load(kv.v, offset, key, count, c * 64 + g() * 8);
        }
      }
    }
  }

  __device__ __forceinline__ void Score(const Words& words, float (&scores)[kKeys / 8][4]) const {
#pragma unroll
    for (uint32_t n = 0; n < kKeys / 8; ++n) {
#pragma unroll
      for (uint32_t c = 0; c < 4; ++c) scores[n][c] = 0;
#pragma unroll
      for (uint32_t i = 0; i < kDim / 32; ++i) {
        const uint4& k = words.k[n][i];
        MultiplyBf16(scores[n], q_[i].x, 0, q_[i].y, 0, k.x, k.y);
        MultiplyBf16(scores[n], q_[i].z, 0, q_[i].w, 0, k.z, k.w);
      }
    }
  }
  __device__ __forceinline__ void AddValues(const Words& words,
                                            const float (&scores)[kKeys / 8][4]) {
#pragma unroll
    for (uint32_t s = 0; s < kKeys / 16; ++s) {
      AddProducts(scores[2 * s], scores[2 * s + 1], words.v[s]);
    }
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
