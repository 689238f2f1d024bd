// What ParseModelConfig refuses, and that it says why.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/config/model_config.h"
#include "tests/support/synthetic_checkpoint.h"

namespace spearfish {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Json = nlohmann::json;

struct Refusal {
  const char* key;
  Json value;
  const char* message;
};

Json GoodConfig() { return tests::MakeSyntheticConfig({}); }

absl::Status StatusWith(const char* key, const Json& value) {
  Json json = GoodConfig();
  json[key] = value;
  return ParseModelConfig(json.dump()).status();
}

void ExpectRefusals(absl::StatusCode code, const std::vector<Refusal>& refusals) {
  for (const Refusal& refusal : refusals) {
    const absl::Status status = StatusWith(refusal.key, refusal.value);
    EXPECT_EQ(status.code(), code) << refusal.key << " = " << refusal.value << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(refusal.message));
  }
}

TEST(ModelConfigRefusal, UnknownArchitecturesAreNamedWithTheServedOnes) {
  const absl::Status by_name = StatusWith("architectures", {"LlamaForCausalLM"});
  EXPECT_EQ(by_name.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(by_name.message()),
              AllOf(HasSubstr("LlamaForCausalLM"), HasSubstr("Qwen3MoeForCausalLM")));
  const absl::Status by_type = StatusWith("model_type", "qwen3_next");
  EXPECT_EQ(by_type.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(by_type.message()), HasSubstr("qwen3_next"));

  Json json = GoodConfig();
  json.erase("architectures");
  json.erase("model_type");
  EXPECT_THAT(std::string(ParseModelConfig(json.dump()).status().message()),
              HasSubstr("architectures and model_type are missing"));
}

TEST(ModelConfigRefusal, UnservedFeaturesAreNamed) {
  ExpectRefusals(
      absl::StatusCode::kUnimplemented,
      {
          {"quantization_config", {{"quant_method", "fp8"}}, "quantization_config"},
          {"use_sliding_window", true, "use_sliding_window"},
          {"hidden_act", "gelu", "hidden_act 'gelu'"},
          {"rope_scaling", {{"type", "yarn"}, {"factor", 4.0}}, "rope_scaling 'yarn'"},
          {"rope_scaling", {{"rope_type", "linear"}, {"factor", 2.0}}, "rope_scaling 'linear'"},
          {"rope_parameters", {{"rope_type", "llama3"}, {"rope_theta", 1e4}}, "'llama3'"},
          {"rope_parameters", {{"full_attention", {{"rope_theta", 1e4}}}}, "full_attention"},
          {"rope_parameters", {{"partial_rotary_factor", 0.25}}, "partial_rotary_factor 0.25"},
          {"partial_rotary_factor", 0.5, "partial_rotary_factor 0.5"},
      });
}

TEST(ModelConfigRefusal, QuantizationOfAWrapperIsSeen) {
  Json json = tests::MakeSyntheticConfig({.prefix = tests::WeightPrefix::kLanguageModel});
  json["quantization_config"] = {{"quant_method", "gptq"}};
  EXPECT_EQ(ParseModelConfig(json.dump()).status().code(), absl::StatusCode::kUnimplemented);
}

TEST(ModelConfigRefusal, CountsOutOfRangeAreNamedWithTheirValue) {
  ExpectRefusals(absl::StatusCode::kInvalidArgument,
                 {
                     {"hidden_size", 0, "hidden_size is 0"},
                     {"hidden_size", -128, "hidden_size is -128"},
                     {"hidden_size", 128.5, "hidden_size is 128.5"},
                     {"hidden_size", "128", "hidden_size is \"128\""},
                     {"hidden_size", 1ull << 40, "hidden_size is 1099511627776"},
                     {"vocab_size", 0, "vocab_size is 0"},
                     {"vocab_size", 1u << 31, "vocab_size is 2147483648"},
                     {"num_hidden_layers", 0, "num_hidden_layers is 0"},
                     {"num_hidden_layers", 4000000000u, "num_hidden_layers is 4000000000"},
                     {"num_attention_heads", 0, "num_attention_heads is 0"},
                     {"num_key_value_heads", 0, "num_key_value_heads is 0"},
                     {"head_dim", 0, "head_dim is 0"},
                     {"head_dim", 33, "head_dim is 33"},
                     {"max_position_embeddings", 0, "max_position_embeddings is 0"},
                     {"moe_intermediate_size", 0, "moe_intermediate_size is 0"},
                     {"num_local_experts", 0, "num_local_experts is 0"},
                     {"num_experts", 16, "num_experts is 16, num_local_experts 8"},
                     {"num_experts_per_tok", 0, "num_experts_per_tok is 0"},
                     {"num_experts_per_tok", 9, "num_experts_per_tok is 9"},
                     {"decoder_sparse_step", 0, "decoder_sparse_step is 0"},
                     {"mlp_only_layers", {2}, "mlp_only_layers is 2"},
                     {"mlp_only_layers", {-1}, "mlp_only_layers is -1"},
                     {"rms_norm_eps", 0, "rms_norm_eps is 0"},
                     {"rms_norm_eps", -1e-6, "rms_norm_eps is -"},
                     {"rope_theta", 0.0, "rope_theta is 0"},
                     {"eos_token_id", 256, "eos_token_id is 256"},
                     {"eos_token_id", "</s>", "eos_token_id is \"</s>\""},
                     {"norm_topk_prob", "yes", "norm_topk_prob is \"yes\""},
                     {"architectures", "Qwen3MoeForCausalLM", "architectures is"},
                     {"text_config", 3, "text_config is 3"},
                     {"layer_types", {"full_attention", "sliding_attention"}, "layer_types is"},
                 });
}

TEST(ModelConfigRefusal, HeadsMustDivide) {
  ExpectRefusals(absl::StatusCode::kInvalidArgument,
                 {{"num_key_value_heads", 3, "num_attention_heads is 4, num_key_value_heads 3"},
                  {"num_key_value_heads", 8, "num_attention_heads is 4, num_key_value_heads 8"}});
  Json json = GoodConfig();
  json.erase("head_dim");
  json["num_attention_heads"] = 6;
  json["num_key_value_heads"] = 2;
  EXPECT_THAT(std::string(ParseModelConfig(json.dump()).status().message()),
              HasSubstr("hidden_size is 128, num_attention_heads 6"));
  json["hidden_size"] = 6 * 7;  // implied head_dim 7 is odd
  EXPECT_THAT(std::string(ParseModelConfig(json.dump()).status().message()),
              HasSubstr("head_dim is 7"));
}

TEST(ModelConfigRefusal, MissingKeysAreNamed) {
  for (const char* key : {"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
                          "max_position_embeddings", "num_experts_per_tok", "moe_intermediate_size",
                          "num_local_experts"}) {
    Json json = GoodConfig();
    json.erase(key);
    const absl::Status status = ParseModelConfig(json.dump()).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << key;
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::string(key) + " is missing"));
  }
  Json json = GoodConfig();
  json["mlp_only_layers"] = {0};
  json.erase("intermediate_size");  // needed now
  EXPECT_THAT(std::string(ParseModelConfig(json.dump()).status().message()),
              HasSubstr("intermediate_size is missing"));
}

TEST(ModelConfigRefusal, AModelWithoutExpertsIsNotServed) {
  ExpectRefusals(absl::StatusCode::kInvalidArgument,
                 {{"mlp_only_layers", {0, 1}, "no layer has experts"},
                  {"decoder_sparse_step", 3, "no layer has experts"}});
}

TEST(ModelConfigRefusal, TextThatIsNoObject) {
  for (const char* text : {"", "[]", "3", "null", "{\"hidden_size\": 1", "\xff"}) {
    EXPECT_EQ(ParseModelConfig(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

}  // namespace
}  // namespace spearfish
