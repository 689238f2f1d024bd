#include "tests/golden/golden_file.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/support/test_data.h"

namespace spearfish::tests {

std::vector<GoldenPrompt> ReadGoldens(const std::string& path, const std::string& section) {
  std::vector<GoldenPrompt> prompts;
  const nlohmann::json file = nlohmann::json::parse(ReadFile(path));
  for (const nlohmann::json& entry : file.at(section)) {
    GoldenPrompt& prompt = prompts.emplace_back();
    entry.at("prompt").get_to(prompt.text);
    entry.at("ids").get_to(prompt.ids);
    entry.at("prompt_logprobs").get_to(prompt.prompt_logprobs);
    entry.at("top_ids").get_to(prompt.top_ids);
    entry.at("top_logits").get_to(prompt.top_logits);
    entry.at("logsumexp").get_to(prompt.logsumexp);
    entry.at("greedy").get_to(prompt.greedy);
    entry.at("greedy_margins").get_to(prompt.greedy_margins);
    entry.at("router_topk_last").get_to(prompt.last_experts);
    for (std::vector<int32_t>& layer : prompt.last_experts) std::sort(layer.begin(), layer.end());
  }
  return prompts;
}

}  // namespace spearfish::tests
