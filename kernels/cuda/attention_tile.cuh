// Attention for sequences of many queries: eight queries of a kv head share a block, one a warp,
// and the chunks of keys and values that it walks over in order. Each warp makes, one after the
// other, the sums that the blocks of a row alone and their eight warps make side by side
// (attention.cu), and merges them as those do: the bits are the same.
#ifndef KERNELS_CUDA_ATTENTION_TILE_CUH_
#define KERNELS_CUDA_ATTENTION_TILE_CUH_

#include "kernels/cuda/async_copy.cuh"
#include "kernels/cuda/attention_tensor.cuh"

namespace spearfish::kernels::attention {

inline constexpr uint32_t kTileStages = 3;

// Chunks in shared memory: rows are padded so that a warp's 16-byte loads meet no bank twice.
template <uint32_t kDim>
struct TileStage {
  static constexpr uint32_t kKeyBytes = kDim * 2 + 64;
  static constexpr uint32_t kValueBytes = kDim * 2 + 16;
  static constexpr uint32_t kValuesAt = kChunkKeys * kKeyBytes;
  static constexpr uint32_t kBytes = kValuesAt + kChunkKeys * kValueBytes;
};

// Queries first_row .. first_row + num_rows - 1 of a sequence; the first sees `first_keys` keys
// (below 1: none), each of the others one more. Without a sequence nobody sees any.
struct QueryTile {
  const int32_t* blocks;
  uint32_t first_row;
  uint32_t num_rows;
  int32_t first_keys;

  __device__ uint32_t keys(uint32_t query) const {
    const int32_t seen = first_keys + static_cast<int32_t>(query);
    return blocks == nullptr || query >= num_rows || seen < 0 ? 0 : static_cast<uint32_t>(seen);
  }
};

// Tiles of the sequences of at least launch.share_from queries, in order, then of the rows behind
// the last sequence.
__device__ inline QueryTile FindTile(const AttentionLaunch& launch, uint32_t tile) {
  for (uint32_t s = 0; s < launch.num_seqs; ++s) {
    const int32_t begin = launch.query_starts[s];
    const auto queries = static_cast<uint32_t>(launch.query_starts[s + 1] - begin);
    if (queries < launch.share_from) continue;
    const uint32_t tiles = (queries + kWarps - 1) / kWarps;
    if (tile < tiles) {
      const uint32_t first = tile * kWarps;
      return {launch.block_tables + uint64_t{s} * launch.max_blocks,
              static_cast<uint32_t>(begin) + first, min(kWarps, queries - first),
              launch.context_lens[s] - static_cast<int32_t>(queries - first) + 1};
    }
    tile -= tiles;
  }
  const uint32_t first =
      static_cast<uint32_t>(launch.query_starts[launch.num_seqs]) + tile * kWarps;
  const uint32_t rows = first < launch.num_rows ? min(kWarps, launch.num_rows - first) : 0;
  return {nullptr, first, rows, 0};
}

// What a warp has merged: the shares of the rank at hand, and the ranks before it.
template <uint32_t kDim>
class TileSums {
 public:
  __device__ TileSums() {
    Clear(rank_);
    Clear(total_);
  }

  __device__ void AddShare(const TensorState<kDim>& share) {
    const MergeStep step(rank_.max, share.max());
    rank_.sum = Merged(rank_.sum, step.old, share.sum(), step.part);
    rank_.max = step.max;
#pragma unroll
    for (uint32_t n = 0; n < kDim / 8; ++n) {
#pragma unroll
      for (uint32_t c = 0; c < 2; ++c) {
        rank_.values[n][c] = Merged(rank_.values[n][c], step.old, share.Value(n, c), step.part);
      }
    }
  }

  __device__ void EndRank() {
    const MergeStep step(total_.max, rank_.max);
    total_.sum = Merged(total_.sum, step.old, rank_.sum, step.part);
    total_.max = step.max;
#pragma unroll
    for (uint32_t n = 0; n < kDim / 8; ++n) {
#pragma unroll
      for (uint32_t c = 0; c < 2; ++c) {
        total_.values[n][c] = Merged(total_.values[n][c], step.old, rank_.values[n][c], step.part);
      }
    }
    Clear(rank_);
  }

  // To the lane's head; its values are eight side by side.
  __device__ void Write(bf16* out) const {
    const uint32_t t = threadIdx.x % 4;
#pragma unroll
    for (uint32_t part = 0; part < kDim / 64; ++part) {
#pragma unroll
      for (uint32_t c = 0; c < 2; ++c) {
        __nv_bfloat162 pairs[4];
#pragma unroll
        for (uint32_t i = 0; i < 4; ++i) {
          pairs[i] =
              __floats2bfloat162_rn(Result(part * 8 + 2 * i, c), Result(part * 8 + 2 * i + 1, c));
        }
        memcpy(out + part * 64 + (2 * t + c) * 8, pairs, sizeof(pairs));
      }
    }
  }

 private:
  struct Sums {
    float max;
    float sum;
    float values[kDim / 8][2];
  };
  __device__ static void Clear(Sums& sums) {
    sums.max = -INFINITY;
    sums.sum = 0;
#pragma unroll
    for (uint32_t n = 0; n < kDim / 8; ++n) sums.values[n][0] = sums.values[n][1] = 0;
  }
  __device__ float Result(uint32_t n, uint32_t c) const {
    return Finished(total_.max, total_.sum, total_.values[n][c]);
  }

  Sums rank_;
  Sums total_;
};

// Where a warp's walk over a row's chunks stands.
class ChunkWalk {
 public:
  __device__ explicit ChunkWalk(const RowSplit& split) : split_(split), in_share_(0), in_rank_(0) {}

  struct Ends {
    bool share;
    bool rank;
  };
  // After chunk `chunk` of the row.
  __device__ Ends Step(uint32_t chunk) {
    ++in_share_;
    ++in_rank_;
    const bool ends_rank = in_rank_ == split_.rank_chunks || chunk + 1 == split_.chunks;
    const bool ends_share = ends_rank || in_share_ == split_.warp_chunks;
    if (ends_share) in_share_ = 0;
    if (ends_rank) in_rank_ = 0;
    return {ends_share, ends_rank};
  }

 private:
  const RowSplit split_;
  uint32_t in_share_;
  uint32_t in_rank_;
};

// By the whole block: the first num_keys - 32 * chunk keys and values of a chunk, up to 32.
template <uint32_t kDim>
__device__ void LoadTileChunk(const AttentionLaunch& launch, const QueryTile& tile,
                              uint32_t kv_head, uint32_t chunk, uint32_t num_keys, char* stage) {
  using S = TileStage<kDim>;
  constexpr uint32_t kPieces = kDim / 8;  // of 16 bytes in a row
  const KvPlanes& kv = launch.kv;
  for (uint32_t i = threadIdx.x; i < kChunkKeys * kPieces; i += kThreads) {
    const uint32_t row = i / kPieces;
    const uint32_t at = i % kPieces * 16;
    const uint32_t key = chunk * kChunkKeys + row;
    if (key >= num_keys) continue;
    const auto block = static_cast<uint64_t>(tile.blocks[key / kv.block_tokens]);
    const uint64_t in_block = uint64_t{kv_head} * kv.block_tokens + key % kv.block_tokens;
    const uint64_t offset = block * kv.block_stride + in_block * (kDim * sizeof(bf16)) + at;
    CopyAsync16(stage + row * S::kKeyBytes + at, static_cast<const char*>(kv.k) + offset);
    CopyAsync16(stage + S::kValuesAt + row * S::kValueBytes + at,
                static_cast<const char*>(kv.v) + offset);
  }
}

// Blocks along x are tiles, the longest contexts first; along y up to eight heads of a kv head.
template <uint32_t kDim>
__global__ void __launch_bounds__(kThreads, 1) TileAttentionKernel(AttentionLaunch launch) {
  extern __shared__ __align__(16) char stages[];
  __shared__ QueryTile shared_tile;
  using S = TileStage<kDim>;
  using State = TensorState<kDim>;
  if (threadIdx.x == 0) shared_tile = FindTile(launch, gridDim.x - 1 - blockIdx.x);
  __syncthreads();
  const QueryTile tile = shared_tile;
  if (tile.num_rows == 0) return;
  const uint32_t group = launch.num_heads / launch.kv.num_kv_heads;
  const uint32_t parts = (group + State::kGroup - 1) / State::kGroup;
  const uint32_t kv_head = blockIdx.y / parts;
  const uint32_t first_head = blockIdx.y % parts * State::kGroup;
  const uint32_t heads = min(State::kGroup, group - first_head);
  const uint32_t warp = threadIdx.x / kWarpLanes;
  const uint32_t num_keys = tile.keys(warp);
  const uint32_t most_keys = tile.keys(tile.num_rows - 1);
  const uint32_t row = tile.first_row + min(warp, tile.num_rows - 1);
  const uint64_t at =
      (uint64_t{row} * launch.num_heads + kv_head * group + first_head) * uint64_t{kDim};

  State state;
  state.LoadQueries(static_cast<const bf16*>(launch.q) + at, heads);
  state.Clear();
  TileSums<kDim> sums;
  const RowSplit split(num_keys);
  ChunkWalk walk(split);
  const uint32_t chunks = RowSplit(most_keys).chunks;
#pragma unroll
  for (uint32_t chunk = 0; chunk + 1 < kTileStages; ++chunk) {
    if (chunk < chunks) {
      LoadTileChunk<kDim>(launch, tile, kv_head, chunk, most_keys, stages + chunk * S::kBytes);
    }
    EndAsyncGroup();
  }
#pragma unroll 1
  for (uint32_t chunk = 0; chunk < chunks; ++chunk) {
    WaitAsyncGroups<kTileStages - 2>();
    __syncthreads();  // the chunk is there for all, and the one before it has been used
    const uint32_t next = chunk + kTileStages - 1;
    if (next < chunks) {
      LoadTileChunk<kDim>(launch, tile, kv_head, next, most_keys,
                          stages + next % kTileStages * S::kBytes);
    }
    EndAsyncGroup();
    if (chunk >= split.chunks) continue;
    const char* stage = stages + chunk % kTileStages * S::kBytes;
    state.template AddSharedChunk<S::kKeyBytes, S::kValueBytes>(
        stage, stage + S::kValuesAt, launch.scale, num_keys - chunk * kChunkKeys);
    const ChunkWalk::Ends ends = walk.Step(chunk);
    if (ends.share) {
      sums.AddShare(state);
      state.Clear();
    }
    if (ends.rank) sums.EndRank();
  }
  if (warp >= tile.num_rows || threadIdx.x % kWarpLanes / 4 >= heads) return;
  sums.Write(static_cast<bf16*>(launch.out) + at + threadIdx.x % kWarpLanes / 4 * kDim);
}

}  // namespace spearfish::kernels::attention

#endif  // KERNELS_CUDA_ATTENTION_TILE_CUH_
