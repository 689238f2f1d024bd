// The architecture of a checkpoint, from its config.json.
#ifndef COMMON_CONFIG_MODEL_CONFIG_H_
#define COMMON_CONFIG_MODEL_CONFIG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/ids.h"

namespace spearfish {

enum class Architecture { kQwen3Moe };

// Fields are the text model's; a nested text_config is already unfolded. Every value has passed
// ParseModelConfig's checks: counts are positive, at least one layer has experts, and products of
// sizes, in bytes, fit 63 bits.
struct ModelConfig {
  Architecture architecture = Architecture::kQwen3Moe;
  std::string architecture_name;  // "Qwen3MoeForCausalLM", as config.json says it
  std::string model_type;         // "qwen3_moe"

  uint32_t vocab_size = 0;
  uint32_t hidden_size = 0;
  uint32_t num_layers = 0;
  uint32_t num_heads = 0;
  uint32_t num_kv_heads = 0;
  uint32_t head_dim = 0;
  uint32_t max_position_embeddings = 0;
  float rms_norm_eps = 1e-6f;
  float rope_theta = 10000.0f;
  bool attention_bias = false;
  bool tie_word_embeddings = false;

  uint32_t intermediate_size = 0;      // of the dense layers; 0 when there are none
  uint32_t moe_intermediate_size = 0;  // of one expert
  uint32_t num_experts = 0;
  uint32_t num_experts_per_token = 0;
  bool norm_topk_prob = false;
  std::vector<bool> moe_layers;  // [num_layers]: true = routed experts, false = dense MLP

  std::vector<TokenId> eos_token_ids;  // from config.json; generation_config.json may add some

  bool is_moe(LayerId layer) const { return moe_layers[Index(layer)]; }
  uint32_t num_moe_layers() const;
};

// Parses config.json text. Unimplemented for an architecture that is not served (naming it and the
// ones that are); InvalidArgument for anything missing, out of range or that does not divide,
// naming the key and the value. Unsupported rope scaling, sliding windows and quantised
// checkpoints are refused by name.
absl::StatusOr<ModelConfig> ParseModelConfig(absl::string_view json_text);

}  // namespace spearfish

#endif  // COMMON_CONFIG_MODEL_CONFIG_H_
