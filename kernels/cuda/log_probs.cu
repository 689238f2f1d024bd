// LogProbs: up to eight blocks a row, each over its share of the vocabulary. The sums of the eight
// shares are the same, and added in the same order, however many blocks there are.
#include "kernels/cuda/dependent_launch.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/vocab_order.cuh"

namespace spearfish::kernels {
namespace {

struct Memory {
  ClusterMinMemory<2> bounds;
  ClusterMinMemory<1> least;
  double warps[kVocabWarps];
  double sums[kClusterRanks];   // of the exponentials, in those shares that are this rank's
  double above[kClusterRanks];  // tokens above the chosen one
};

__device__ __forceinline__ float NaNAsLeast(float x) { return isnan(x) ? -INFINITY : x; }

// Writes sums and above of share `index`.
__device__ void SumShare(const VocabShare& share, double max, float bound, uint32_t index,
                         Memory& memory) {
  double sum = 0;
  double above = 0;
  // Token by token: which thread has which must not follow from the row's alignment.
#pragma unroll 4
  for (uint32_t i = share.begin + threadIdx.x; i < share.end; i += kVocabThreads) {
    const float x = share.logits[i];
    if (isfinite(x)) sum += exp(static_cast<double>(x) - max);
    if (NaNAsLeast(x) > bound) above += 1;
  }
  sum = BlockSum(sum, memory.warps);
  above = BlockSum(above, memory.warps);
  if (threadIdx.x == 0) {
    memory.sums[index] = sum;
    memory.above[index] = above;
  }
}

// The thread's first token in order after `last`, or kNoToken.
__device__ unsigned long long FirstAfter(const VocabShare& share, unsigned long long last) {
  unsigned long long first = kNoToken;
  share.Walk<kFirstWalk>([&](float x, uint32_t id) {
    const unsigned long long order = TokenOrder(NaNAsLeast(x), id);
    if (share.Holds(id) && order > last) first = min(first, order);
  });
  return first;
}

__global__ void __launch_bounds__(kVocabThreads)
    LogProbsKernel(const LogProbsLaunch launch, uint32_t ranks) {
  __shared__ Memory memory;
  StartInOrder();
  const uint32_t rank = blockIdx.x % ranks;
  const uint64_t row = blockIdx.x / ranks;
  const uint32_t num_shares = kClusterRanks / ranks;
  const float* logits = launch.logits + row * launch.vocab;
  const VocabShare share(logits, launch.vocab, rank * num_shares, num_shares);
  const float chosen = logits[launch.tokens[row]];
  const unsigned long long first =
      FindBounds<kFirstWalk>(share, ranks, memory.bounds, [](float, uint32_t) {
        return true;
      }).first;
  const double max = first == kNoToken ? 0 : LogitOf(first);
  for (uint32_t s = rank * num_shares; s < (rank + 1) * num_shares; ++s) {
    SumShare(VocabShare(logits, launch.vocab, s, 1), max, NaNAsLeast(chosen), s, memory);
  }
  ClusterSync();
  const bool writes = rank == 0 && threadIdx.x == 0;
  // Without a finite logit the probabilities are not defined, and differences with NaN say so.
  double log_sum = nan("");
  if (writes) {
    double sum = 0;
    double above = 0;
    for (uint32_t s = 0; s < kClusterRanks; ++s) {
      sum += *AtRank(&memory.sums[s], s / num_shares);
      above += *AtRank(&memory.above[s], s / num_shares);
    }
    if (first != kNoToken) log_sum = max + log(sum);
    launch.token_logprobs[row] = static_cast<float>(static_cast<double>(chosen) - log_sum);
    launch.ranks[row] = static_cast<int32_t>(above);
  }
  unsigned long long last = 0;  // of the tokens taken
  unsigned long long mine = 0;  // the thread's first of the others
  for (uint32_t n = 0; n < launch.top_n; ++n) {
    if (mine <= last) mine = FirstAfter(share, last);
    unsigned long long least[1] = {mine};
    ClusterMin(least, ranks, n % 2, memory.least);
    last = least[0];
    if (!writes) continue;
    const auto id = static_cast<uint32_t>(last);
    launch.top_ids[row * launch.top_n + n] = static_cast<int32_t>(id);
    launch.top_logprobs[row * launch.top_n + n] =
        static_cast<float>(static_cast<double>(logits[id]) - log_sum);
  }
  ClusterSync();  // other ranks read this block's shared memory
}

}  // namespace

void LaunchLogProbs(const LogProbsLaunch& launch, cudaStream_t stream) {
  LaunchRanks(LogProbsKernel, launch, dim3(launch.num_rows), kVocabThreads, 0,
              VocabRanks(launch.num_rows), stream);
}

}  // namespace spearfish::kernels
