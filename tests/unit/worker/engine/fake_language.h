// A made-up language model as pure functions: what FakeModel computes through its KV cache, and
// what tests compute from the tokens alone.
#ifndef TESTS_UNIT_WORKER_ENGINE_FAKE_LANGUAGE_H_
#define TESTS_UNIT_WORKER_ENGINE_FAKE_LANGUAGE_H_

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "common/base/ids.h"
#include "kernels/api/kernels.h"
#include "worker/engine/request.h"

namespace spearfish::worker {

uint64_t MixHash(uint64_t a, uint64_t b);

// What a position leaves in the KV cache.
inline uint64_t CellOf(TokenId token, uint32_t position) {
  return MixHash(MixHash(0x5eed, token), position);
}

// Folds the cells of positions 0.. in order: every token and its position shape the result.
uint64_t StateOf(std::span<const TokenId> tokens);
inline uint64_t NextState(uint64_t state, uint64_t cell) { return MixHash(state, cell); }

struct FakeLanguage {
  uint32_t vocab_size = 64;
  // Token that follows at a position whatever came before (its logit is far above the others').
  std::map<uint32_t, TokenId> script = {};

  // Logits after `num_tokens` tokens that fold to `state`.
  std::vector<float> Logits(uint64_t state, uint32_t num_tokens) const;
};

// kernels::SampleArgs for one row, by the letter of its contract.
TokenId ChooseToken(const std::vector<float>& logits, const kernels::SampleRow& row,
                    std::span<const int32_t> history, std::span<const kernels::LogitBias> biases);

// Log-probability, rank and the top_n of one row, by kernels::LogProbsArgs.
PositionLogprobs LogprobsOf(const std::vector<float>& logits, TokenId token, uint32_t top_n);

// What sequence `index` of the request generates, ids only (no stop strings): the oracle.
std::vector<TokenId> ExpectedTokens(const FakeLanguage& language, const GenerationRequest& request,
                                    uint32_t index, uint32_t max_tokens,
                                    const std::vector<TokenId>& eos_ids);

}  // namespace spearfish::worker

#endif  // TESTS_UNIT_WORKER_ENGINE_FAKE_LANGUAGE_H_
