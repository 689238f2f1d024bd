// Sample: up to eight blocks a row, each over its share of the vocabulary. A first walk finds the
// bounds of the order and so the greedy token; the others are drawn (token_draw.cuh). Rows with
// penalties or biases work on an adjusted copy in the workspace.
#include "kernels/cuda/dependent_launch.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/logit_adjustment.cuh"
#include "kernels/cuda/token_draw.cuh"
#include "kernels/cuda/vocab_order.cuh"

namespace spearfish::kernels {
namespace {

// One row's part of the workspace: adjusted logits [vocab] F32, then counts [vocab].
__host__ __device__ constexpr uint64_t ArrayBytes(uint32_t vocab) {
  return (uint64_t{vocab} * 4 + 63) / 64 * 64;
}

__global__ void __launch_bounds__(kVocabThreads)
    SampleKernel(const SampleLaunch launch, uint32_t ranks) {
  __shared__ TokenDraw::Memory memory;
  const uint32_t rank = blockIdx.x % ranks;
  const uint64_t index = blockIdx.x / ranks;
  PrefetchLine(&launch.rows[index]);
  StartInOrder();
  const uint32_t vocab = launch.vocab;
  const uint32_t num_shares = kClusterRanks / ranks;
  const SampleRowView& row = launch.rows[index];
  VocabShare share(launch.logits + index * vocab, vocab, rank * num_shares, num_shares);
  if (HasPenalties(row) || row.num_biases != 0) {
    char* part = static_cast<char*>(launch.workspace) + index * 2 * ArrayBytes(vocab);
    auto* adjusted = reinterpret_cast<float*>(part);
    auto* counts = reinterpret_cast<uint32_t*>(part + ArrayBytes(vocab));
    LogitAdjustment(launch, row, share, adjusted, counts).Apply();
    share.logits = adjusted;
  }
  const OrderBounds bounds =
      FindBounds<kFirstWalk>(share, ranks, memory.bounds, [](float, uint32_t) { return true; });
  uint32_t token = bounds.first == kNoToken ? 0 : static_cast<uint32_t>(bounds.first);
  if (row.temperature > 0.0f && bounds.first != kNoToken) {
    TokenDraw draw({share, rank, ranks, vocab}, bounds, row, memory);
    token = draw.Draw();
  }
  if (rank == 0 && threadIdx.x == 0) launch.out_tokens[index] = static_cast<int32_t>(token);
  ClusterSync();  // other ranks read this block's shared memory
}

}  // namespace

uint64_t SampleCudaWorkspaceBytes(uint32_t num_rows, uint32_t vocab) {
  return num_rows * 2 * ArrayBytes(vocab);
}

void LaunchSample(const SampleLaunch& launch, cudaStream_t stream) {
  LaunchRanks(SampleKernel, launch, dim3(launch.num_rows), kVocabThreads, 0,
              VocabRanks(launch.num_rows), stream);
}

}  // namespace spearfish::kernels
