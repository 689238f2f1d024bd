// Attention over paged KV: a block for each rank of a row and kv head. Keys are taken in chunks of
// 32, one a lane, and split over ranks and their warps by RowSplit, so the order of every sum
// follows from a row's position alone. A block merges its warps in order; a second kernel merges
// the ranks of rows that have several. Kernels find their keys before those before them have ended.
#include "kernels/cuda/attention_merge.cuh"
#include "kernels/cuda/attention_tensor.cuh"
#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/dependent_launch.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/numeric.cuh"

namespace spearfish::kernels {
namespace attention {
namespace {

template <typename A>
__device__ __forceinline__ float2 LoadPair(const A* from);
template <>
__device__ __forceinline__ float2 LoadPair<float>(const float* from) {
  return *reinterpret_cast<const float2*>(from);
}
template <>
__device__ __forceinline__ float2 LoadPair<bf16>(const bf16* from) {
  return WidenPair(*reinterpret_cast<const uint32_t*>(from));
}

// Scores of one key against kGroup queries.
template <typename A, uint32_t kGroup>
__device__ __forceinline__ void Scores(const A* key, const float* q, uint32_t head_dim,
                                       float (&scores)[kGroup]) {
#pragma unroll
  for (uint32_t g = 0; g < kGroup; ++g) scores[g] = 0;
  if (head_dim % 8 == 0) {
#pragma unroll 4
    for (uint32_t i = 0; i < head_dim; i += 8) {
      float k[8];
      Load8(key + i, k);
#pragma unroll
      for (uint32_t g = 0; g < kGroup; ++g) {
        float query[8];
        Load8(q + g * head_dim + i, query);
#pragma unroll
        for (int j = 0; j < 8; ++j) scores[g] = fmaf(query[j], k[j], scores[g]);
      }
    }
    return;
  }
  for (uint32_t i = 0; i < head_dim; i += 2) {
    const float2 k = LoadPair(key + i);
#pragma unroll
    for (uint32_t g = 0; g < kGroup; ++g) {
      scores[g] = fmaf(q[g * head_dim + i], k.x, scores[g]);
      scores[g] = fmaf(q[g * head_dim + i + 1], k.y, scores[g]);
    }
  }
}

// One warp's running softmax over its chunks; lane l has the value pairs 2 (32 i + l).
template <typename A, uint32_t kGroup, uint32_t kPairs>
class WarpState {
 public:
  __device__ void Clear() {
#pragma unroll
    for (uint32_t g = 0; g < kGroup; ++g) {
      max_[g] = -INFINITY;
      sum_[g] = 0;
#pragma unroll
      for (uint32_t i = 0; i < kPairs; ++i) values_[g][i] = {0, 0};
    }
  }

  // Keys first .. first + 31 of num_keys. `weights` is the warp's scratch, [kGroup][32].
  __device__ void AddChunk(const AttentionLaunch& launch, const RowKeys& row, uint32_t kv_head,
                           uint32_t first, const float* q, float* weights) {
    const KvPlanes& kv = launch.kv;
    const uint32_t lane = threadIdx.x % kWarpLanes;
    const uint32_t count = min(kWarpLanes, row.num_keys - first);
    uint64_t offset = 0;  // of this lane's key in either plane, in bytes
    float scores[kGroup];
    if (lane < count) {
      const uint32_t key = first + lane;
      const auto block = static_cast<uint64_t>(row.blocks[key / kv.block_tokens]);
      const uint64_t in_block =
          (uint64_t{kv_head} * kv.block_tokens + key % kv.block_tokens) * kv.head_dim;
      offset = block * kv.block_stride + in_block * sizeof(A);
      Scores<A, kGroup>(reinterpret_cast<const A*>(static_cast<const char*>(kv.k) + offset), q,
                        kv.head_dim, scores);
    }
#pragma unroll
    for (uint32_t g = 0; g < kGroup; ++g) {
      const float score = lane < count ? scores[g] * launch.scale : -INFINITY;
      const float max = fmaxf(max_[g], WarpMax(score));
      const float weight = Rescale(score, max);
      const float old = Rescale(max_[g], max);
      sum_[g] = fmaf(sum_[g], old, WarpSum(weight));
      max_[g] = max;
#pragma unroll
      for (uint32_t i = 0; i < kPairs; ++i) {
        values_[g][i].x *= old;
        values_[g][i].y *= old;
      }
      weights[g * 32 + lane] = weight;
    }
    __syncwarp();
    AddValues(static_cast<const char*>(kv.v), kv.head_dim, count, offset, weights);
    __syncwarp();
  }

  __device__ void Store(uint32_t head_dim, float* max, float* sum, float* values,
                        uint32_t stride) const {
    const uint32_t lane = threadIdx.x % kWarpLanes;
#pragma unroll
    for (uint32_t g = 0; g < kGroup; ++g) {
      if (lane == 0) {
        max[g] = max_[g];
        sum[g] = sum_[g];
      }
#pragma unroll
      for (uint32_t i = 0; i < kPairs; ++i) {
        const uint32_t d = 2 * (i * kWarpLanes + lane);
        if (d >= head_dim) break;
        values[g * stride + d] = values_[g][i].x;
        values[g * stride + d + 1] = values_[g][i].y;
      }
    }
  }

 private:
  __device__ void AddValues(const char* plane, uint32_t head_dim, uint32_t count, uint64_t offset,
                            const float* weights) {
    const uint32_t lane = threadIdx.x % kWarpLanes;
#pragma unroll 4
    for (uint32_t j = 0; j < count; ++j) {
      const auto* value =
          reinterpret_cast<const A*>(plane + __shfl_sync(kFullWarp, offset, static_cast<int>(j)));
#pragma unroll
      for (uint32_t i = 0; i < kPairs; ++i) {
        const uint32_t d = 2 * (i * kWarpLanes + lane);
        if (d >= head_dim) break;
        const float2 v = LoadPair(value + d);
#pragma unroll
        for (uint32_t g = 0; g < kGroup; ++g) {
          values_[g][i].x = fmaf(weights[g * 32 + j], v.x, values_[g][i].x);
          values_[g][i].y = fmaf(weights[g * 32 + j], v.y, values_[g][i].y);
        }
      }
    }
  }

  float max_[kGroup];
  float sum_[kGroup];
  float2 values_[kGroup][kPairs];
};

template <uint32_t kDim>
__global__ void __launch_bounds__(kThreads, 1) TensorAttentionKernel(AttentionLaunch launch) {
  extern __shared__ __align__(16) float memory[];
  using State = TensorState<kDim>;
  StartKernelAfter();
  const BlockShare<State::kGroup> share(launch);
  if (share.row == kNoRow) return WaitForKernelsBefore();
  const RowKeys keys = FindRow(launch, share.row);
  const RowSplit split(keys.num_keys);
  if (blockIdx.z != 0 && blockIdx.z >= split.num_ranks()) return;
  const uint32_t warp = threadIdx.x / kWarpLanes;
  State state;
  bool has_waited = false;
  const auto wait = [&] {
    if (has_waited) return;
    WaitForKernelsBefore();
    state.LoadQueries(static_cast<const bf16*>(launch.q) + share.at, share.heads);
    has_waited = true;
  };
  state.Clear();
  const RowSplit::Share chunks = split.Of(blockIdx.z, warp);
#pragma unroll 1
  for (uint32_t chunk = chunks.first; chunk < chunks.end; ++chunk) {
    const uint32_t key = chunk * kChunkKeys;
    // New keys are what the kernel before writes.
    if (!State::kWholeChunks || key + kChunkKeys > keys.num_old) wait();
    if constexpr (State::kWholeChunks) {
      typename State::Words words;
      State::LoadChunk(launch, keys, share.kv_head, key, words);
      wait();
      state.AddWords(words, launch.scale, keys.num_keys - key);
    } else {
      state.AddChunk(launch, keys, share.kv_head, key);
    }
  }
  wait();  // a warp without keys
  const Layout<State::kGroup> layout = {kDim};
  state.Store(memory + layout.warp_max() + warp * State::kGroup,
              memory + layout.warp_sum() + warp * State::kGroup,
              memory + layout.warp_values() + warp * State::kGroup * layout.value_stride(),
              layout.value_stride());
  __syncthreads();
  MergeWarps<bf16>(launch, share, split, memory);
}

template <typename A, uint32_t kGroup, uint32_t kPairs>
__global__ void __launch_bounds__(kThreads) AttentionKernel(AttentionLaunch launch) {
  extern __shared__ __align__(16) float memory[];
  StartKernelAfter();
  const uint32_t head_dim = launch.kv.head_dim;
  const BlockShare<kGroup> share(launch);
  const Layout<kGroup> layout = {head_dim};
  if (share.row == kNoRow) return WaitForKernelsBefore();
  const RowKeys keys = FindRow(launch, share.row);
  const RowSplit split(keys.num_keys);
  if (blockIdx.z != 0 && blockIdx.z >= split.num_ranks()) return;
  WaitForKernelsBefore();
  float* q = memory + layout.q();
  for (uint32_t i = threadIdx.x; i < kGroup * head_dim; i += kThreads) {
    const bool is_head = i < share.heads * head_dim;
    q[i] = is_head ? Widen(static_cast<const A*>(launch.q)[share.at + i]) : 0.0f;
  }
  __syncthreads();
  const uint32_t warp = threadIdx.x / kWarpLanes;
  float* weights = memory + layout.weights() + warp * kGroup * 32;
  WarpState<A, kGroup, kPairs> state;
  state.Clear();
  const RowSplit::Share chunks = split.Of(blockIdx.z, warp);
  for (uint32_t chunk = chunks.first; chunk < chunks.end; ++chunk) {
    state.AddChunk(launch, keys, share.kv_head, chunk * kChunkKeys, q, weights);
  }
  state.Store(head_dim, memory + layout.warp_max() + warp * kGroup,
              memory + layout.warp_sum() + warp * kGroup,
              memory + layout.warp_values() + warp * kGroup * layout.value_stride(),
              layout.value_stride());
  __syncthreads();
  MergeWarps<A>(launch, share, split, memory);
}

// Rows whose partial results the workspace holds together.
constexpr uint32_t kRowsTogether = 64;

// Every row, or only those of sequences that do not share keys.
uint32_t LoneRows(const AttentionLaunch& launch) {
  if (launch.share_from == 0) return launch.num_rows;
  const uint32_t lone = (launch.share_from - 1) * launch.num_seqs;
  return launch.num_rows < lone ? launch.num_rows : lone;
}

template <typename A, uint32_t kGroup>
void Launch(void (*kernel)(AttentionLaunch), AttentionLaunch launch, cudaStream_t stream) {
  const uint32_t bytes =
      Layout<kGroup>{launch.kv.head_dim}.end() * static_cast<uint32_t>(sizeof(float));
  SF_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(bytes)));
  const uint32_t group = launch.num_heads / launch.kv.num_kv_heads;
  const uint32_t heads = launch.kv.num_kv_heads * ((group + kGroup - 1) / kGroup);
  launch.most_ranks = RowSplit::MostRanks(launch.max_blocks * launch.kv.block_tokens);
  const uint32_t num_rows = LoneRows(launch);
  for (; launch.first_lone < num_rows; launch.first_lone += kRowsTogether) {
    const uint32_t left = num_rows - launch.first_lone;
    const uint32_t rows = left < kRowsTogether ? left : kRowsTogether;
    LaunchDependent(kernel, {dim3(rows, heads, launch.most_ranks), dim3(kThreads), bytes}, stream,
                    launch);
    if (launch.most_ranks == 1) continue;
    LaunchDependent(MergeRanksKernel<A, kGroup>, {dim3(rows, heads), dim3(kMergeThreads)}, stream,
                    launch);
  }
}

// False: every row runs alone, with the same bits.
constexpr bool kShareKeys = true;
constexpr uint32_t kShareFrom = 8;  // queries of a sequence: a block of warps

// Steps of decoding, one query a sequence, don't ask: then no sequence is worth a second launch.
bool SharesKeys(const AttentionLaunch& launch) {
  return kShareKeys && launch.num_rows >= kShareFrom && launch.num_rows >= 2 * launch.num_seqs;
}

template <uint32_t kDim>
void LaunchTensor(AttentionLaunch launch, cudaStream_t stream) {
  if (!SharesKeys(launch)) {
    return Launch<bf16, 8>(TensorAttentionKernel<kDim>, launch, stream);
  }
  launch.share_from = kShareFrom;
  Launch<bf16, 8>(TensorAttentionKernel<kDim>, launch, stream);
  constexpr uint32_t kBytes = kTileStages * TileStage<kDim>::kBytes;
  const auto kernel = TileAttentionKernel<kDim>;
  SF_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(kBytes)));
  // As many tiles as there can be: a sequence's last may be short, and so may that behind them.
  const uint32_t tiles = launch.num_rows / kWarps + launch.num_seqs + 1;
  const uint32_t group = launch.num_heads / launch.kv.num_kv_heads;
  const dim3 grid(tiles, launch.kv.num_kv_heads * ((group + 7) / 8));
  kernel<<<grid, kThreads, kBytes, stream>>>(launch);
  SF_CUDA(cudaGetLastError());
}

// For any head dimension, on the CUDA cores.
template <typename A>
void LaunchAny(const AttentionLaunch& launch, cudaStream_t stream) {
  const uint32_t group = launch.num_heads / launch.kv.num_kv_heads;
  const uint32_t head_dim = launch.kv.head_dim;
  if (head_dim > 256) {
    Launch<A, 4>(AttentionKernel<A, 4, 8>, launch, stream);
  } else if (head_dim > 128) {
    Launch<A, 4>(AttentionKernel<A, 4, 4>, launch, stream);
  } else if (group == 1) {
    Launch<A, 1>(AttentionKernel<A, 1, 2>, launch, stream);
  } else if (group <= 4) {
    Launch<A, 4>(AttentionKernel<A, 4, 2>, launch, stream);
  } else {
    Launch<A, 8>(AttentionKernel<A, 8, 2>, launch, stream);
  }
}

}  // namespace
}  // namespace attention

uint64_t AttentionCudaWorkspaceBytes(const AttentionWorkspaceShape& shape) {
  const uint32_t ranks = attention::RowSplit::MostRanks(shape.max_keys);
  if (ranks <= 1) return 0;
  const uint64_t rows =
      shape.num_rows < attention::kRowsTogether ? shape.num_rows : attention::kRowsTogether;
  const uint64_t groups = (shape.num_heads / shape.num_kv_heads + 7) / 8;
  return rows * shape.num_kv_heads * groups * ranks * attention::PartialFloats<8>(shape.head_dim) *
         sizeof(float);
}

void LaunchAttention(const AttentionLaunch& launch, cudaStream_t stream) {
  if (launch.activations == DType::kF32) return attention::LaunchAny<float>(launch, stream);
  switch (launch.kv.head_dim) {
    case 64:
      return attention::LaunchTensor<64>(launch, stream);
    case 128:
      return attention::LaunchTensor<128>(launch, stream);
    case 256:
      return attention::Launch<bf16, 8>(attention::TensorAttentionKernel<256>, launch, stream);
    default:
      return attention::LaunchAny<bf16>(launch, stream);
  }
}

}  // namespace spearfish::kernels
