// Default sampling of a checkpoint, from its generation_config.json.
#ifndef COMMON_CONFIG_GENERATION_CONFIG_H_
#define COMMON_CONFIG_GENERATION_CONFIG_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/ids.h"

namespace spearfish {

// Values a request leaves unset. An absent file gives this struct as it stands: greedy when
// do_sample is false or absent, as transformers does.
struct GenerationConfig {
  float temperature = 0.0f;  // 0 = greedy
  float top_p = 1.0f;
  uint32_t top_k = 0;  // 0 = all
  float min_p = 0.0f;
  float repetition_penalty = 1.0f;
  std::vector<TokenId> eos_token_ids;  // eos_token_id, one id or a list
};

// InvalidArgument on malformed JSON or values out of range, naming the key.
absl::StatusOr<GenerationConfig> ParseGenerationConfig(absl::string_view json_text);

}  // namespace spearfish

#endif  // COMMON_CONFIG_GENERATION_CONFIG_H_
