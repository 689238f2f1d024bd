// Any text: the config parsers fail cleanly, or what they return keeps the promises of the headers.
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/check.h"
#include "common/config/generation_config.h"
#include "common/config/model_config.h"

namespace {

void CheckModel(const spearfish::ModelConfig& config) {
  SF_CHECK(config.vocab_size > 0 && config.hidden_size > 0 && config.num_layers > 0);
  SF_CHECK(config.num_kv_heads > 0 && config.num_heads % config.num_kv_heads == 0);
  SF_CHECK(config.head_dim > 0 && config.head_dim % 2 == 0);
  SF_CHECK(config.max_position_embeddings > 0 && config.moe_intermediate_size > 0);
  SF_CHECK(0 < config.num_experts_per_token && config.num_experts_per_token <= config.num_experts);
  SF_CHECK(config.moe_layers.size() == config.num_layers && config.num_moe_layers() > 0);
  SF_CHECK(config.num_moe_layers() == config.num_layers || config.intermediate_size > 0);
  SF_CHECK(config.rms_norm_eps > 0.0f && config.rope_theta >= 1.0f);
  SF_CHECK(std::isfinite(config.rms_norm_eps) && std::isfinite(config.rope_theta));
  for (const spearfish::TokenId id : config.eos_token_ids) SF_CHECK(id < config.vocab_size);
}

void CheckGeneration(const spearfish::GenerationConfig& config) {
  SF_CHECK(config.temperature >= 0.0f && std::isfinite(config.temperature));
  SF_CHECK(config.top_p > 0.0f && config.top_p <= 1.0f);
  SF_CHECK(config.min_p >= 0.0f && config.min_p <= 1.0f);
  SF_CHECK(config.repetition_penalty > 0.0f && std::isfinite(config.repetition_penalty));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<spearfish::ModelConfig> model = spearfish::ParseModelConfig(text);
  if (model.ok()) CheckModel(*model);
  const absl::StatusOr<spearfish::GenerationConfig> generation =
      spearfish::ParseGenerationConfig(text);
  if (generation.ok()) CheckGeneration(*generation);
  return 0;
}
