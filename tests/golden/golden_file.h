// The reference outputs of a checkpoint, from transformers.
#ifndef TESTS_GOLDEN_GOLDEN_FILE_H_
#define TESTS_GOLDEN_GOLDEN_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/ids.h"

namespace spearfish::tests {

// One prompt's entry. Router choices are sorted sets, of the prompt's last token.
struct GoldenPrompt {
  std::string text;
  std::vector<TokenId> ids;
  std::vector<float> prompt_logprobs;  // of ids 1..
  std::vector<TokenId> top_ids;        // after the prompt
  std::vector<float> top_logits;
  float logsumexp = 0;
  std::vector<TokenId> greedy;
  std::vector<float> greedy_margins;               // best minus second best logit at each step
  std::vector<std::vector<int32_t>> last_experts;  // [num_moe_layers][k]
};

// The entries of one section: "bf16_experts" or "int4_absmax_experts". Throws nlohmann's exceptions
// on a file that is not a golden.
std::vector<GoldenPrompt> ReadGoldens(const std::string& path, const std::string& section);

}  // namespace spearfish::tests

#endif  // TESTS_GOLDEN_GOLDEN_FILE_H_
