// The prompts of a load test.
#ifndef SERVER_CLI_BENCH_PROMPTS_H_
#define SERVER_CLI_BENCH_PROMPTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "spearfish/v1/inference.pb.h"

namespace spearfish::server::cli {

// Ids drawn at random, different for every request, the same for the same seed.
struct SyntheticPrompts {
  uint32_t num_tokens = 128;
  uint32_t vocab_size = 0;
  uint64_t seed = 1;
};

v1::TokenIds SyntheticPrompt(const SyntheticPrompts& prompts, uint32_t index);

// One prompt a line, empty lines left out. NotFound, or InvalidArgument when there is none.
absl::StatusOr<std::vector<std::string>> ReadPrompts(const std::string& path);

}  // namespace spearfish::server::cli

#endif  // SERVER_CLI_BENCH_PROMPTS_H_
