// Penalties and biases on a block's share of a row.
#ifndef KERNELS_CUDA_LOGIT_ADJUSTMENT_CUH_
#define KERNELS_CUDA_LOGIT_ADJUSTMENT_CUH_

#include "kernels/cuda/launch.h"
#include "kernels/cuda/vocab_share.cuh"

namespace spearfish::kernels {

__device__ __forceinline__ float FiniteOrBanned(float x) { return isfinite(x) ? x : -INFINITY; }

__device__ __forceinline__ bool HasPenalties(const SampleRowView& row) {
  return (row.presence_penalty != 0.0f || row.frequency_penalty != 0.0f ||
          row.repetition_penalty != 1.0f) &&
         (row.num_prompt != 0 || row.num_generated != 0);
}

// Adjusts a copy of the share. Every method is called by all threads of the block; no block touches
// what another one does.
class LogitAdjustment {
 public:
  // `logits` and `counts` [vocab] lie in the workspace.
  __device__ LogitAdjustment(const SampleLaunch& launch, const SampleRowView& row,
                             const VocabShare& share, float* logits, uint32_t* counts)
      : launch_(launch), row_(row), share_(share), logits_(logits), counts_(counts) {}

  __device__ void Apply() {
    share_.Walk<kFirstWalk>([&](float x, uint32_t id) {
      if (share_.Holds(id)) logits_[id] = FiniteOrBanned(x);
    });
    __syncthreads();
    if (HasPenalties(row_)) ApplyPenalties();
    ApplyBiases();
    __syncthreads();
  }

 private:
  // A token's count: occurrences among the generated, and a bit for having been seen at all.
  static constexpr uint32_t kSeen = 1u << 31;

  // Calls visit(token) for the share's tokens in history [begin, end).
  template <typename Visit>
  __device__ __forceinline__ void ForHistory(uint32_t begin, uint32_t end, const Visit& visit) {
    constexpr uint32_t kInFlight = 4;
    const int32_t* history = launch_.history + row_.history_begin;
    for (uint32_t i = begin + threadIdx.x; i < end; i += kInFlight * kVocabThreads) {
      uint32_t tokens[kInFlight];
#pragma unroll
      for (uint32_t j = 0; j < kInFlight; ++j) {
        const uint32_t at = i + j * kVocabThreads;
        tokens[j] = at < end ? static_cast<uint32_t>(history[at]) : share_.end;
      }
#pragma unroll
      for (uint32_t j = 0; j < kInFlight; ++j) {
        if (share_.Holds(tokens[j])) visit(tokens[j]);
      }
    }
  }

  // Three walks over the history: clear, count, and apply once a token, by whoever takes its count.
  __device__ void ApplyPenalties() {
    const uint32_t length = row_.num_prompt + row_.num_generated;
    ForHistory(0, length, [&](uint32_t token) { counts_[token] = kSeen; });
    __syncthreads();
    ForHistory(row_.num_prompt, length, [&](uint32_t token) { atomicAdd(&counts_[token], 1u); });
    __syncthreads();
    ForHistory(0, length, [&](uint32_t token) {
      const uint32_t count = atomicExch(&counts_[token], 0u);
      if (count != 0) logits_[token] = Penalized(logits_[token], count & ~kSeen);
    });
    __syncthreads();
  }

  __device__ float Penalized(float logit, uint32_t num_generated) const {
    if (row_.repetition_penalty != 1.0f) {
      logit = logit > 0.0f ? logit / row_.repetition_penalty : logit * row_.repetition_penalty;
    }
    if (num_generated > 0) {
      logit =
          __fsub_rn(logit, __fmul_rn(row_.frequency_penalty, static_cast<float>(num_generated)));
      logit -= row_.presence_penalty;
    }
    return FiniteOrBanned(logit);
  }

  // A thread a token: the one at the token's first bias adds them all, in their order.
  __device__ void ApplyBiases() {
    const LogitBiasView* biases = launch_.biases + row_.bias_begin;
    for (uint32_t i = threadIdx.x; i < row_.num_biases; i += kVocabThreads) {
      const uint32_t token = biases[i].token;
      if (!share_.Holds(token)) continue;
      uint32_t first = 0;
      while (biases[first].token != token) ++first;
      if (first != i) continue;
      float logit = logits_[token];
      for (uint32_t j = i; j < row_.num_biases; ++j) {
        if (biases[j].token == token) logit = FiniteOrBanned(logit + biases[j].bias);
      }
      logits_[token] = logit;
    }
  }

  const SampleLaunch& launch_;
  const SampleRowView& row_;
  const VocabShare& share_;
  float* const logits_;
  uint32_t* const counts_;
};

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_LOGIT_ADJUSTMENT_CUH_
