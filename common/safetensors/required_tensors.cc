#include "common/safetensors/required_tensors.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace spearfish {
namespace {

using HasFn = std::function<bool(absl::string_view)>;
using VisitFn = std::function<absl::Status(const RequiredTensor&)>;

absl::Status VisitProjection(const std::string& name, int64_t outputs, int64_t inputs,
                             bool has_bias, const VisitFn& visit) {
  SF_RETURN_IF_ERROR(visit({.name = name + ".weight", .shape = {outputs, inputs}}));
  if (!has_bias) return absl::OkStatus();
  return visit({.name = name + ".bias", .shape = {outputs}});
}

absl::Status VisitAttention(const ModelConfig& config, const std::string& prefix,
                            const VisitFn& visit) {
  const int64_t hidden = config.hidden_size;
  const int64_t q = int64_t{config.num_heads} * config.head_dim;
  const int64_t kv = int64_t{config.num_kv_heads} * config.head_dim;
  const bool bias = config.attention_bias;
  SF_RETURN_IF_ERROR(VisitProjection(prefix + "q_proj", q, hidden, bias, visit));
  SF_RETURN_IF_ERROR(VisitProjection(prefix + "k_proj", kv, hidden, bias, visit));
  SF_RETURN_IF_ERROR(VisitProjection(prefix + "v_proj", kv, hidden, bias, visit));
  SF_RETURN_IF_ERROR(VisitProjection(prefix + "o_proj", hidden, q, bias, visit));
  SF_RETURN_IF_ERROR(visit({.name = prefix + "q_norm.weight", .shape = {config.head_dim}}));
  return visit({.name = prefix + "k_norm.weight", .shape = {config.head_dim}});
}

absl::Status VisitGatedMlp(const std::string& prefix, int64_t hidden, int64_t channels,
                           const VisitFn& visit) {
  SF_RETURN_IF_ERROR(visit({.name = prefix + "gate_proj.weight", .shape = {channels, hidden}}));
  SF_RETURN_IF_ERROR(visit({.name = prefix + "up_proj.weight", .shape = {channels, hidden}}));
  return visit({.name = prefix + "down_proj.weight", .shape = {hidden, channels}});
}

absl::Status VisitExperts(const ModelConfig& config, const std::string& prefix, const HasFn& has,
                          const VisitFn& visit) {
  const int64_t hidden = config.hidden_size;
  const int64_t channels = config.moe_intermediate_size;
  const int64_t experts = config.num_experts;
  if (has(prefix + "gate_up_proj")) {
    SF_RETURN_IF_ERROR(
        visit({.name = prefix + "gate_up_proj", .shape = {experts, 2 * channels, hidden}}));
    return visit({.name = prefix + "down_proj", .shape = {experts, hidden, channels}});
  }
  for (int64_t expert = 0; expert < experts; ++expert) {
    SF_RETURN_IF_ERROR(VisitGatedMlp(absl::StrCat(prefix, expert, "."), hidden, channels, visit));
  }
  return absl::OkStatus();
}

absl::Status VisitLayer(const ModelConfig& config, LayerId layer, const HasFn& has,
                        const VisitFn& visit) {
  const int64_t hidden = config.hidden_size;
  const std::string prefix = absl::StrCat("model.layers.", Index(layer), ".");
  SF_RETURN_IF_ERROR(visit({.name = prefix + "input_layernorm.weight", .shape = {hidden}}));
  SF_RETURN_IF_ERROR(VisitAttention(config, prefix + "self_attn.", visit));
  SF_RETURN_IF_ERROR(
      visit({.name = prefix + "post_attention_layernorm.weight", .shape = {hidden}}));
  if (!config.is_moe(layer)) {
    return VisitGatedMlp(prefix + "mlp.", hidden, config.intermediate_size, visit);
  }
  SF_RETURN_IF_ERROR(
      visit({.name = prefix + "mlp.gate.weight", .shape = {config.num_experts, hidden}}));
  return VisitExperts(config, ExpertsPrefix(layer), has, visit);
}

}  // namespace

std::string ExpertsPrefix(LayerId layer) {
  return absl::StrCat("model.layers.", Index(layer), ".mlp.experts.");
}

absl::Status VisitRequiredTensors(const ModelConfig& config, const HasFn& has,
                                  const VisitFn& visit) {
  const int64_t hidden = config.hidden_size;
  const int64_t vocab = config.vocab_size;
  SF_RETURN_IF_ERROR(visit({.name = "model.embed_tokens.weight", .shape = {vocab, hidden}}));
  for (uint32_t layer = 0; layer < config.num_layers; ++layer) {
    SF_RETURN_IF_ERROR(VisitLayer(config, LayerId{layer}, has, visit));
  }
  SF_RETURN_IF_ERROR(visit({.name = "model.norm.weight", .shape = {hidden}}));
  if (config.tie_word_embeddings) return absl::OkStatus();
  return visit({.name = "lm_head.weight", .shape = {vocab, hidden}});
}

}  // namespace spearfish
