#include "server/cli/bench_prompts.h"

#include <fstream>
#include <random>

#include "absl/strings/str_cat.h"

namespace spearfish::server::cli {

v1::TokenIds SyntheticPrompt(const SyntheticPrompts& prompts, uint32_t index) {
  std::seed_seq seeds{static_cast<uint32_t>(prompts.seed),
                      static_cast<uint32_t>(prompts.seed >> 32), index};
  std::mt19937 random(seeds);
  v1::TokenIds ids;
  for (uint32_t i = 0; i < prompts.num_tokens; ++i) {
    ids.add_ids(static_cast<uint32_t>(random() % prompts.vocab_size));
  }
  return ids;
}

absl::StatusOr<std::vector<std::string>> ReadPrompts(const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    return absl::NotFoundError(absl::StrCat("can't read the prompts: ", path,
                                            "; does it exist, and may this user read it?"));
  }
  std::vector<std::string> prompts;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty()) prompts.push_back(line);
  }
  if (prompts.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("no prompt in ", path, "; write one a line"));
  }
  return prompts;
}

}  // namespace spearfish::server::cli
