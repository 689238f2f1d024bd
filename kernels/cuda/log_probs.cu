// LogProbs: a block for each row.
#include "kernels/cuda/launch.h"
#include "kernels/cuda/vocab_order.cuh"

namespace spearfish::kernels {
namespace {

__device__ __forceinline__ float NaNAsLeast(float x) { return isnan(x) ? -INFINITY : x; }

__global__ void __launch_bounds__(kVocabThreads) LogProbsKernel(const LogProbsLaunch launch) {
  __shared__ unsigned long long orders[kVocabWarps];
  __shared__ double sums[kVocabWarps];
  const uint64_t row = blockIdx.x;
  const uint32_t vocab = launch.vocab;
  const float* logits = launch.logits + row * vocab;
  const unsigned long long first = FirstFinite(logits, vocab, orders);
  const float chosen = logits[launch.tokens[row]];
  const float bound = NaNAsLeast(chosen);
  // Without a finite logit the probabilities are not defined, and differences with NaN say so.
  double log_sum = nan("");
  double sum = 0;
  double above = 0;
  const double max = first == kNoToken ? 0 : logits[static_cast<uint32_t>(first)];
  for (uint32_t i = threadIdx.x; i < vocab; i += kVocabThreads) {
    const float x = logits[i];
    if (isfinite(x)) sum += exp(static_cast<double>(x) - max);
    if (NaNAsLeast(x) > bound) above += 1;
  }
  sum = BlockSum(sum, sums);
  above = BlockSum(above, sums);
  if (first != kNoToken) log_sum = max + log(sum);
  if (threadIdx.x == 0) {
    launch.token_logprobs[row] = static_cast<float>(static_cast<double>(chosen) - log_sum);
    launch.ranks[row] = static_cast<int32_t>(above);
  }
  unsigned long long last = 0;  // of the tokens taken
  for (uint32_t n = 0; n < launch.top_n; ++n) {
    unsigned long long best = kNoToken;
    for (uint32_t i = threadIdx.x; i < vocab; i += kVocabThreads) {
      const unsigned long long order = TokenOrder(NaNAsLeast(logits[i]), i);
      if ((n == 0 || order > last) && order < best) best = order;
    }
    last = BlockMin(best, orders);
    if (threadIdx.x != 0) continue;
    const auto id = static_cast<uint32_t>(last);
    launch.top_ids[row * launch.top_n + n] = static_cast<int32_t>(id);
    launch.top_logprobs[row * launch.top_n + n] =
        static_cast<float>(static_cast<double>(logits[id]) - log_sum);
  }
}

}  // namespace

void LaunchLogProbs(const LogProbsLaunch& launch, cudaStream_t stream) {
  LogProbsKernel<<<launch.num_rows, kVocabThreads, 0, stream>>>(launch);
  SF_CUDA(cudaGetLastError());
}

}  // namespace spearfish::kernels
