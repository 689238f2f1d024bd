#include "common/config/model_config.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"
#include "common/config/json_document.h"
#include "common/config/json_fields.h"

namespace spearfish {
namespace {

using Json = nlohmann::json;

constexpr absl::string_view kFile = "config.json";
constexpr absl::string_view kServed = "Qwen3MoeForCausalLM (qwen3_moe)";
constexpr char kQwen3MoeName[] = "Qwen3MoeForCausalLM";
constexpr char kQwen3MoeType[] = "qwen3_moe";

// Far above any model, and low enough that products of three of them, in bytes, fit 63 bits.
constexpr UintRange kVocabSizes = {.min = 1, .max = 1u << 24};
constexpr UintRange kHiddenSizes = {.min = 1, .max = 1u << 18};
constexpr UintRange kLayers = {.min = 1, .max = 1u << 12};
constexpr UintRange kHeads = {.min = 1, .max = 1u << 12};
constexpr UintRange kHeadDims = {.min = 2, .max = 1u << 12};
constexpr UintRange kPositions = {.min = 1, .max = 1u << 26};
constexpr UintRange kChannels = {.min = 1, .max = 1u << 20};
constexpr UintRange kExperts = {.min = 1, .max = 1u << 14};
constexpr FloatRange kEpsilons = {.min = 1e-30, .max = 1.0};
constexpr FloatRange kRopeThetas = {.min = 1.0, .max = 1e30};

absl::Status Invalid(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(kFile, ": ", what));
}

absl::Status Unsupported(absl::string_view what, absl::string_view remedy) {
  return absl::UnimplementedError(absl::StrCat(kFile, ": unsupported ", what, "; ", remedy));
}

absl::Status UnknownArchitecture(absl::string_view name) {
  return Unsupported(absl::StrCat("architecture '", name, "'"),
                     absl::StrCat("served are ", kServed));
}

absl::Status ParseArchitecture(const Json& text, ModelConfig& config) {
  const JsonFields fields(text, kFile);
  SF_ASSIGN_OR_RETURN(config.model_type, fields.StringOr("model_type", ""));
  if (const Json* names = fields.Get("architectures"); names != nullptr) {
    if (!names->is_array() || names->empty() || !names->front().is_string()) {
      return fields.Refuse("architectures", "a list that starts with a name");
    }
    config.architecture_name = names->front().get<std::string>();
    if (config.architecture_name != kQwen3MoeName) {
      return UnknownArchitecture(config.architecture_name);
    }
  }
  if (config.architecture_name.empty() && config.model_type.empty()) {
    return Invalid(absl::StrCat("architectures and model_type are missing; served are ", kServed));
  }
  if (config.architecture_name.empty()) config.architecture_name = kQwen3MoeName;
  if (config.model_type.empty()) config.model_type = kQwen3MoeType;
  if (config.model_type != kQwen3MoeType) return UnknownArchitecture(config.model_type);
  config.architecture = Architecture::kQwen3Moe;
  return absl::OkStatus();
}

// Features that change the arithmetic and are not served: better refused than answered wrongly.
absl::Status RefuseUnsupported(const Json& document) {
  const JsonFields fields(document, kFile);
  if (fields.Has("quantization_config")) {
    return Unsupported(
        "quantization_config",
        "use the checkpoint's BF16, F16 or F32 original; experts are quantised here");
  }
  SF_ASSIGN_OR_RETURN(const bool sliding, fields.BoolOr("use_sliding_window", false));
  if (sliding) return Unsupported("use_sliding_window", "only full attention is served");
  if (const Json* types = fields.Get("layer_types"); types != nullptr) {
    for (const Json& type : *types) {
      if (type == "full_attention") continue;
      return fields.Refuse("layer_types", "full_attention alone");
    }
  }
  SF_ASSIGN_OR_RETURN(const std::string activation, fields.StringOr("hidden_act", "silu"));
  if (activation != "silu") {
    return Unsupported(absl::StrCat("hidden_act '", activation, "'"), "served is silu");
  }
  return absl::OkStatus();
}

// The dictionary that newer configs call rope_parameters and older ones rope_scaling.
absl::Status ParseRopeDictionary(const Json& text, const char* key, float& theta) {
  const Json* rope = JsonFields(text, kFile).Get(key);
  if (rope == nullptr) return absl::OkStatus();
  if (!rope->is_object()) return JsonFields(text, kFile).Refuse(key, "an object or null");
  const JsonFields fields(*rope, kFile);
  const char* type_key = fields.Has("rope_type") ? "rope_type" : "type";
  SF_ASSIGN_OR_RETURN(const std::string type, fields.StringOr(type_key, "default"));
  if (type != "default") {
    return Unsupported(absl::StrCat(key, " '", type, "'"), "only the default rope is served");
  }
  for (const auto& [name, value] : rope->items()) {
    if (!value.is_object()) continue;
    return Unsupported(absl::StrCat(key, " for each layer type ('", name, "')"),
                       "one rope for all layers is served");
  }
  SF_ASSIGN_OR_RETURN(const float share,
                      fields.FloatOr("partial_rotary_factor", 1.0f, {.min = 0.0, .max = 1.0}));
  if (share != 1.0f) {
    return Unsupported(absl::StrCat("partial_rotary_factor ", share), "only 1 is served");
  }
  SF_ASSIGN_OR_RETURN(theta, fields.FloatOr("rope_theta", theta, kRopeThetas));
  return absl::OkStatus();
}

absl::Status ParseRope(const Json& text, ModelConfig& config) {
  const JsonFields fields(text, kFile);
  SF_ASSIGN_OR_RETURN(config.rope_theta,
                      fields.FloatOr("rope_theta", config.rope_theta, kRopeThetas));
  SF_ASSIGN_OR_RETURN(const float share,
                      fields.FloatOr("partial_rotary_factor", 1.0f, {.min = 0.0, .max = 1.0}));
  if (share != 1.0f) {
    return Unsupported(absl::StrCat("partial_rotary_factor ", share), "only 1 is served");
  }
  SF_RETURN_IF_ERROR(ParseRopeDictionary(text, "rope_scaling", config.rope_theta));
  return ParseRopeDictionary(text, "rope_parameters", config.rope_theta);
}

absl::Status ParseAttention(const Json& text, ModelConfig& config) {
  const JsonFields fields(text, kFile);
  SF_ASSIGN_OR_RETURN(config.num_heads, fields.Uint("num_attention_heads", kHeads));
  SF_ASSIGN_OR_RETURN(config.num_kv_heads,
                      fields.UintOr("num_key_value_heads", config.num_heads, kHeads));
  if (config.num_heads % config.num_kv_heads != 0) {
    return Invalid(absl::StrCat("heads do not divide: num_attention_heads is ", config.num_heads,
                                ", num_key_value_heads ", config.num_kv_heads,
                                "; the first must be a multiple of the second"));
  }
  if (fields.Has("head_dim")) {
    SF_ASSIGN_OR_RETURN(config.head_dim, fields.Uint("head_dim", kHeadDims));
  } else if (config.hidden_size % config.num_heads == 0) {
    config.head_dim = config.hidden_size / config.num_heads;
  } else {
    return Invalid(absl::StrCat("heads do not divide: hidden_size is ", config.hidden_size,
                                ", num_attention_heads ", config.num_heads,
                                "; give head_dim or make the first a multiple of the second"));
  }
  if (config.head_dim % 2 != 0 || config.head_dim > kHeadDims.max) {
    return Invalid(absl::StrCat("head_dim is ", config.head_dim,
                                "; rope needs an even number up to ", kHeadDims.max));
  }
  SF_ASSIGN_OR_RETURN(config.attention_bias, fields.BoolOr("attention_bias", false));
  return absl::OkStatus();
}

absl::StatusOr<uint32_t> ParseNumExperts(const JsonFields& fields) {
  const char* key = fields.Has("num_experts") ? "num_experts" : "num_local_experts";
  SF_ASSIGN_OR_RETURN(const uint32_t count, fields.Uint(key, kExperts));
  SF_ASSIGN_OR_RETURN(const uint32_t other, fields.UintOr("num_local_experts", count, kExperts));
  if (count != other) {
    return Invalid(absl::StrCat("num_experts is ", count, ", num_local_experts ", other,
                                "; expected one of them, or equal values"));
  }
  return count;
}

// Layer i has experts iff it is not in mlp_only_layers and (i + 1) % decoder_sparse_step == 0.
absl::Status ParseMoeLayers(const JsonFields& fields, ModelConfig& config) {
  SF_ASSIGN_OR_RETURN(const uint32_t step,
                      fields.UintOr("decoder_sparse_step", 1, {.min = 1, .max = UINT32_MAX}));
  SF_ASSIGN_OR_RETURN(const std::vector<uint32_t> dense,
                      fields.UintList("mlp_only_layers", {.min = 0, .max = config.num_layers - 1}));
  config.moe_layers.resize(config.num_layers);
  for (uint32_t layer = 0; layer < config.num_layers; ++layer) {
    config.moe_layers[layer] = (layer + 1) % step == 0;
  }
  for (const uint32_t layer : dense) config.moe_layers[layer] = false;
  if (config.num_moe_layers() == 0) {
    return Invalid(absl::StrCat("no layer has experts: mlp_only_layers and decoder_sparse_step ",
                                step, " leave none of ", config.num_layers,
                                " layers; only mixture-of-experts models are served"));
  }
  return absl::OkStatus();
}

absl::Status ParseExperts(const Json& text, ModelConfig& config) {
  const JsonFields fields(text, kFile);
  SF_ASSIGN_OR_RETURN(config.num_experts, ParseNumExperts(fields));
  SF_ASSIGN_OR_RETURN(config.num_experts_per_token,
                      fields.Uint("num_experts_per_tok", {.min = 1, .max = config.num_experts}));
  SF_ASSIGN_OR_RETURN(config.moe_intermediate_size,
                      fields.Uint("moe_intermediate_size", kChannels));
  SF_ASSIGN_OR_RETURN(config.norm_topk_prob, fields.BoolOr("norm_topk_prob", false));
  SF_RETURN_IF_ERROR(ParseMoeLayers(fields, config));
  if (config.num_moe_layers() < config.num_layers) {
    SF_ASSIGN_OR_RETURN(config.intermediate_size, fields.Uint("intermediate_size", kChannels));
  }
  return absl::OkStatus();
}

// Keys that wrappers keep beside text_config or inside it: the text model's own count first.
absl::Status ParseVocabulary(const Json& text, const Json& wrapper, ModelConfig& config) {
  const auto owner = [&](const char* key) {
    return JsonFields(JsonFields(text, kFile).Has(key) ? text : wrapper, kFile);
  };
  SF_ASSIGN_OR_RETURN(config.vocab_size, JsonFields(text, kFile).Uint("vocab_size", kVocabSizes));
  SF_ASSIGN_OR_RETURN(config.tie_word_embeddings,
                      owner("tie_word_embeddings").BoolOr("tie_word_embeddings", false));
  SF_ASSIGN_OR_RETURN(
      config.eos_token_ids,
      owner("eos_token_id").UintList("eos_token_id", {.min = 0, .max = config.vocab_size - 1}));
  return absl::OkStatus();
}

}  // namespace

uint32_t ModelConfig::num_moe_layers() const {
  return static_cast<uint32_t>(std::count(moe_layers.begin(), moe_layers.end(), true));
}

absl::StatusOr<ModelConfig> ParseModelConfig(absl::string_view json_text) {
  SF_ASSIGN_OR_RETURN(const Json document, ParseJson(json_text, kFile));
  if (!document.is_object()) return absl::InvalidArgumentError("config.json is not a JSON object");
  const Json* nested = JsonFields(document, kFile).Get("text_config");
  if (nested != nullptr && !nested->is_object()) {
    return JsonFields(document, kFile).Refuse("text_config", "an object");
  }
  const Json& text = nested != nullptr ? *nested : document;

  ModelConfig config;
  SF_RETURN_IF_ERROR(ParseArchitecture(text, config));
  SF_RETURN_IF_ERROR(RefuseUnsupported(document));
  SF_RETURN_IF_ERROR(RefuseUnsupported(text));
  const JsonFields fields(text, kFile);
  SF_RETURN_IF_ERROR(ParseVocabulary(text, document, config));
  SF_ASSIGN_OR_RETURN(config.hidden_size, fields.Uint("hidden_size", kHiddenSizes));
  SF_ASSIGN_OR_RETURN(config.num_layers, fields.Uint("num_hidden_layers", kLayers));
  SF_ASSIGN_OR_RETURN(config.max_position_embeddings,
                      fields.Uint("max_position_embeddings", kPositions));
  SF_ASSIGN_OR_RETURN(config.rms_norm_eps,
                      fields.FloatOr("rms_norm_eps", config.rms_norm_eps, kEpsilons));
  SF_RETURN_IF_ERROR(ParseAttention(text, config));
  SF_RETURN_IF_ERROR(ParseRope(text, config));
  SF_RETURN_IF_ERROR(ParseExperts(text, config));
  return config;
}

}  // namespace spearfish
