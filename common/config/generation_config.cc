#include "common/config/generation_config.h"

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"
#include "common/config/json_document.h"
#include "common/config/json_fields.h"

namespace spearfish {
namespace {

constexpr absl::string_view kFile = "generation_config.json";
constexpr FloatRange kTemperatures = {.min = 0.0, .max = 1e6};
constexpr FloatRange kShares = {.min = 0.0, .max = 1.0};
// The smallest values keep logits / penalty and an empty nucleus out of reach.
constexpr FloatRange kTopP = {.min = 1e-9, .max = 1.0};
constexpr FloatRange kPenalties = {.min = 1e-6, .max = 1e6};

}  // namespace

absl::StatusOr<GenerationConfig> ParseGenerationConfig(absl::string_view json_text) {
  SF_ASSIGN_OR_RETURN(const nlohmann::json document, ParseJson(json_text, kFile));
  if (!document.is_object()) {
    return absl::InvalidArgumentError("generation_config.json is not a JSON object");
  }
  const JsonFields fields(document, kFile);
  GenerationConfig config;
  SF_ASSIGN_OR_RETURN(const bool do_sample, fields.BoolOr("do_sample", false));
  SF_ASSIGN_OR_RETURN(const float temperature, fields.FloatOr("temperature", 1.0f, kTemperatures));
  if (do_sample) config.temperature = temperature;
  SF_ASSIGN_OR_RETURN(config.top_p, fields.FloatOr("top_p", config.top_p, kTopP));
  SF_ASSIGN_OR_RETURN(config.top_k, fields.UintOr("top_k", config.top_k, UintRange{}));
  SF_ASSIGN_OR_RETURN(config.min_p, fields.FloatOr("min_p", config.min_p, kShares));
  SF_ASSIGN_OR_RETURN(config.repetition_penalty,
                      fields.FloatOr("repetition_penalty", config.repetition_penalty, kPenalties));
  SF_ASSIGN_OR_RETURN(config.eos_token_ids, fields.UintList("eos_token_id", UintRange{}));
  return config;
}

}  // namespace spearfish
