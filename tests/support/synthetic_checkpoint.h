// Small random Hugging Face checkpoints (Qwen3-MoE) in every spelling that hubs publish.
#ifndef TESTS_SUPPORT_SYNTHETIC_CHECKPOINT_H_
#define TESTS_SUPPORT_SYNTHETIC_CHECKPOINT_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/tensor/dtype.h"
#include "tests/support/safetensors_writer.h"

namespace spearfish::tests {

enum class ExpertStorage { kSeparate, kFused };
enum class ConfigSpelling {
  kOld,  // num_experts, top-level rope_theta
  kNew,  // num_local_experts, rope_parameters
};
// A prefix other than kNone also nests the text model's keys in text_config.
enum class WeightPrefix { kNone, kLanguageModel, kModelLanguageModel };

struct SyntheticOptions {
  uint64_t seed = 1;
  uint32_t vocab_size = 256;
  uint32_t hidden_size = 128;
  uint32_t num_layers = 2;
  uint32_t num_heads = 4;
  uint32_t num_kv_heads = 2;
  uint32_t head_dim = 32;
  bool write_head_dim = true;  // false leaves it implied: then it must be hidden_size / num_heads
  uint32_t num_experts = 8;
  uint32_t num_experts_per_token = 2;
  uint32_t moe_intermediate_size = 128;
  uint32_t intermediate_size = 256;  // of dense layers
  std::vector<uint32_t> mlp_only_layers = {};
  uint32_t decoder_sparse_step = 1;
  bool norm_topk_prob = true;
  bool attention_bias = false;
  bool tie_word_embeddings = false;
  uint32_t max_position_embeddings = 512;
  float rope_theta = 10000.0f;
  std::vector<uint32_t> eos_token_ids = {0};  // none: null; one: a number; more: a list

  DType dtype = DType::kBF16;  // or F16, F32
  ExpertStorage experts = ExpertStorage::kSeparate;
  ConfigSpelling spelling = ConfigSpelling::kNew;
  WeightPrefix prefix = WeightPrefix::kNone;
  uint32_t num_shards = 1;  // above 1: model-00001-of-0000N.safetensors and an index
  // A folder to copy tokenizer.json, tokenizer_config.json and chat_template.jinja from; empty:
  // none is written.
  std::string tokenizer_from = {};
};

// A checkpoint in memory, so a test can break it before it is written.
struct SyntheticCheckpoint {
  nlohmann::json config;
  nlohmann::json generation_config;  // null: the file is left out
  std::vector<NamedTensor> tensors;  // by the names that the files will hold
};

// config.json alone.
nlohmann::json MakeSyntheticConfig(const SyntheticOptions& options);

// The weights depend on seed, shapes and dtype alone: fused or separate, any prefix and any
// sharding hold the same values. Matrices are normal with variance 1 / inputs, norms close to 1.
SyntheticCheckpoint MakeSyntheticCheckpoint(const SyntheticOptions& options);

// Writes into an existing folder.
void WriteSyntheticCheckpoint(const SyntheticCheckpoint& checkpoint,
                              const SyntheticOptions& options, const std::string& folder);
void WriteSyntheticCheckpoint(const SyntheticOptions& options, const std::string& folder);

}  // namespace spearfish::tests

#endif  // TESTS_SUPPORT_SYNTHETIC_CHECKPOINT_H_
