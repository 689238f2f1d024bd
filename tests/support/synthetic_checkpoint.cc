#include "tests/support/synthetic_checkpoint.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "tests/support/test_data.h"

namespace spearfish::tests {
namespace {

using Json = nlohmann::json;

bool IsMoeLayer(const SyntheticOptions& options, uint32_t layer) {
  const auto& dense = options.mlp_only_layers;
  return std::find(dense.begin(), dense.end(), layer) == dense.end() &&
         (layer + 1) % options.decoder_sparse_step == 0;
}

// One stream of numbers for each tensor, so that a value depends on its name, not on the order.
std::mt19937_64 Generator(uint64_t seed, absl::string_view name) {
  uint64_t hash = 0xcbf29ce484222325u ^ seed;
  for (const char c : name) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  }
  return std::mt19937_64(hash);
}

// Collects the tensors of one checkpoint by canonical name.
class WeightMaker {
 public:
  explicit WeightMaker(const SyntheticOptions& options) : options_(options) {}

  std::vector<NamedTensor> Make() {
    const int64_t hidden = options_.hidden_size;
    const int64_t vocab = options_.vocab_size;
    AddMatrix("model.embed_tokens.weight", vocab, hidden);
    for (uint32_t layer = 0; layer < options_.num_layers; ++layer) {
      const std::string prefix = absl::StrCat("model.layers.", layer, ".");
      AddNorm(prefix + "input_layernorm.weight", hidden);
      AddAttention(prefix + "self_attn.");
      AddNorm(prefix + "post_attention_layernorm.weight", hidden);
      if (IsMoeLayer(options_, layer)) {
        AddMatrix(prefix + "mlp.gate.weight", options_.num_experts, hidden);
        AddExperts(prefix + "mlp.experts.");
      } else {
        AddMlp(prefix + "mlp.", options_.intermediate_size);
      }
    }
    AddNorm("model.norm.weight", hidden);
    if (!options_.tie_word_embeddings) AddMatrix("lm_head.weight", vocab, hidden);
    return std::move(tensors_);
  }

 private:
  std::vector<float> Normal(absl::string_view name, int64_t count, float mean, float sigma) const {
    std::mt19937_64 generator = Generator(options_.seed, name);
    std::normal_distribution<float> distribution(mean, sigma);
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = distribution(generator);
    return values;
  }

  std::vector<float> Matrix(absl::string_view name, int64_t outputs, int64_t inputs) const {
    return Normal(name, outputs * inputs, 0.0f, 1.0f / std::sqrt(static_cast<float>(inputs)));
  }

  void AddMatrix(const std::string& name, int64_t outputs, int64_t inputs) {
    Add(name, {outputs, inputs}, Matrix(name, outputs, inputs));
  }

  void AddNorm(const std::string& name, int64_t size) {
    Add(name, {size}, Normal(name, size, 1.0f, 0.1f));
  }

  void AddAttention(const std::string& prefix) {
    const int64_t hidden = options_.hidden_size;
    const int64_t q = int64_t{options_.num_heads} * options_.head_dim;
    const int64_t kv = int64_t{options_.num_kv_heads} * options_.head_dim;
    AddProjection(prefix + "q_proj", q, hidden);
    AddProjection(prefix + "k_proj", kv, hidden);
    AddProjection(prefix + "v_proj", kv, hidden);
    AddProjection(prefix + "o_proj", hidden, q);
    AddNorm(prefix + "q_norm.weight", options_.head_dim);
    AddNorm(prefix + "k_norm.weight", options_.head_dim);
  }

  void AddProjection(const std::string& name, int64_t outputs, int64_t inputs) {
    AddMatrix(name + ".weight", outputs, inputs);
    if (!options_.attention_bias) return;
    Add(name + ".bias", {outputs}, Normal(name + ".bias", outputs, 0.0f, 0.1f));
  }

  void AddMlp(const std::string& prefix, int64_t channels) {
    AddMatrix(prefix + "gate_proj.weight", channels, options_.hidden_size);
    AddMatrix(prefix + "up_proj.weight", channels, options_.hidden_size);
    AddMatrix(prefix + "down_proj.weight", options_.hidden_size, channels);
  }

  void AddExperts(const std::string& prefix) {
    if (options_.experts == ExpertStorage::kFused) return AddFusedExperts(prefix);
    for (uint32_t expert = 0; expert < options_.num_experts; ++expert) {
      AddMlp(absl::StrCat(prefix, expert, "."), options_.moe_intermediate_size);
    }
  }

  void AddFusedExperts(const std::string& prefix) {
    const int64_t hidden = options_.hidden_size;
    const int64_t channels = options_.moe_intermediate_size;
    std::vector<float> gate_up;
    std::vector<float> down;
    const auto append = [](std::vector<float>& out, const std::vector<float>& values) {
      out.insert(out.end(), values.begin(), values.end());
    };
    for (uint32_t expert = 0; expert < options_.num_experts; ++expert) {
      const std::string separate = absl::StrCat(prefix, expert, ".");
      append(gate_up, Matrix(separate + "gate_proj.weight", channels, hidden));
      append(gate_up, Matrix(separate + "up_proj.weight", channels, hidden));
      append(down, Matrix(separate + "down_proj.weight", hidden, channels));
    }
    Add(prefix + "gate_up_proj", {options_.num_experts, 2 * channels, hidden}, gate_up);
    Add(prefix + "down_proj", {options_.num_experts, hidden, channels}, down);
  }

  void Add(const std::string& name, std::vector<int64_t> shape, const std::vector<float>& values) {
    tensors_.push_back(MakeTensor(name, options_.dtype, std::move(shape), values));
  }

  const SyntheticOptions& options_;
  std::vector<NamedTensor> tensors_;
};

std::string Prefixed(WeightPrefix prefix, const std::string& canonical) {
  switch (prefix) {
    case WeightPrefix::kNone:
      return canonical;
    case WeightPrefix::kLanguageModel:
      return "language_model." + canonical;
    case WeightPrefix::kModelLanguageModel:
      break;
  }
  const absl::string_view model = "model.";
  if (!absl::StartsWith(canonical, model)) return canonical;
  return "model.language_model." + canonical.substr(model.size());
}

Json EosJson(const std::vector<uint32_t>& ids) {
  if (ids.empty()) return nullptr;
  if (ids.size() == 1) return ids[0];
  return ids;
}

const char* TorchDtype(DType dtype) {
  if (dtype == DType::kF32) return "float32";
  return dtype == DType::kF16 ? "float16" : "bfloat16";
}

Json TextConfig(const SyntheticOptions& options) {
  Json config = {{"architectures", {"Qwen3MoeForCausalLM"}},
                 {"model_type", "qwen3_moe"},
                 {"attention_bias", options.attention_bias},
                 {"attention_dropout", 0.0},
                 {"decoder_sparse_step", options.decoder_sparse_step},
                 {"eos_token_id", EosJson(options.eos_token_ids)},
                 {"hidden_act", "silu"},
                 {"hidden_size", options.hidden_size},
                 {"intermediate_size", options.intermediate_size},
                 {"max_position_embeddings", options.max_position_embeddings},
                 {"mlp_only_layers", options.mlp_only_layers},
                 {"moe_intermediate_size", options.moe_intermediate_size},
                 {"norm_topk_prob", options.norm_topk_prob},
                 {"num_attention_heads", options.num_heads},
                 {"num_experts_per_tok", options.num_experts_per_token},
                 {"num_hidden_layers", options.num_layers},
                 {"num_key_value_heads", options.num_kv_heads},
                 {"rms_norm_eps", 1e-6},
                 {"sliding_window", nullptr},
                 {"tie_word_embeddings", options.tie_word_embeddings},
                 {"torch_dtype", TorchDtype(options.dtype)},
                 {"use_sliding_window", false},
                 {"vocab_size", options.vocab_size}};
  if (options.write_head_dim) config["head_dim"] = options.head_dim;
  if (options.spelling == ConfigSpelling::kOld) {
    config["num_experts"] = options.num_experts;
    config["rope_theta"] = options.rope_theta;
    config["rope_scaling"] = nullptr;
  } else {
    config["num_local_experts"] = options.num_experts;
    config["rope_parameters"] = {{"rope_theta", options.rope_theta}, {"rope_type", "default"}};
  }
  return config;
}

void WriteShards(const std::vector<NamedTensor>& tensors, uint32_t num_shards,
                 const std::string& folder) {
  if (num_shards <= 1) {
    return WriteFile(folder + "/model.safetensors", SerializeSafetensors(tensors));
  }
  const size_t per_shard = (tensors.size() + num_shards - 1) / num_shards;
  Json weight_map = Json::object();
  for (uint32_t shard = 0; shard < num_shards; ++shard) {
    const std::string name =
        absl::StrFormat("model-%05u-of-%05u.safetensors", shard + 1, num_shards);
    const size_t begin = std::min(tensors.size(), shard * per_shard);
    const size_t end = std::min(tensors.size(), begin + per_shard);
    const std::vector<NamedTensor> part(tensors.begin() + static_cast<std::ptrdiff_t>(begin),
                                        tensors.begin() + static_cast<std::ptrdiff_t>(end));
    for (const NamedTensor& tensor : part) weight_map[tensor.name] = name;
    WriteFile(absl::StrCat(folder, "/", name), SerializeSafetensors(part));
  }
  const Json index = {{"metadata", {{"total_size", 0}}}, {"weight_map", std::move(weight_map)}};
  WriteFile(folder + "/model.safetensors.index.json", index.dump(2));
}

void CopyTokenizer(const std::string& from, const std::string& to) {
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}) {
    const std::string source = absl::StrCat(from, "/", name);
    if (std::filesystem::exists(source)) WriteFile(absl::StrCat(to, "/", name), ReadFile(source));
  }
}

}  // namespace

Json MakeSyntheticConfig(const SyntheticOptions& options) {
  Json text = TextConfig(options);
  if (options.prefix == WeightPrefix::kNone) return text;
  return {{"architectures", {"WrapperForConditionalGeneration"}},
          {"model_type", "wrapper"},
          {"text_config", std::move(text)},
          {"vision_config", {{"hidden_size", 64}}}};
}

SyntheticCheckpoint MakeSyntheticCheckpoint(const SyntheticOptions& options) {
  SyntheticCheckpoint checkpoint;
  checkpoint.config = MakeSyntheticConfig(options);
  checkpoint.generation_config = {{"_from_model_config", true},
                                  {"eos_token_id", EosJson(options.eos_token_ids)}};
  checkpoint.tensors = WeightMaker(options).Make();
  for (NamedTensor& tensor : checkpoint.tensors) {
    tensor.name = Prefixed(options.prefix, tensor.name);
  }
  return checkpoint;
}

void WriteSyntheticCheckpoint(const SyntheticCheckpoint& checkpoint,
                              const SyntheticOptions& options, const std::string& folder) {
  WriteFile(folder + "/config.json", checkpoint.config.dump(2));
  if (!checkpoint.generation_config.is_null()) {
    WriteFile(folder + "/generation_config.json", checkpoint.generation_config.dump(2));
  }
  WriteShards(checkpoint.tensors, options.num_shards, folder);
  if (!options.tokenizer_from.empty()) CopyTokenizer(options.tokenizer_from, folder);
}

void WriteSyntheticCheckpoint(const SyntheticOptions& options, const std::string& folder) {
  WriteSyntheticCheckpoint(MakeSyntheticCheckpoint(options), options, folder);
}

}  // namespace spearfish::tests
