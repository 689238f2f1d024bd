#include "common/config/model_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tests/support/synthetic_checkpoint.h"
#include "tests/support/test_data.h"

namespace spearfish {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Json = nlohmann::json;
using tests::SyntheticOptions;

Json ConfigJson(const SyntheticOptions& options) { return tests::MakeSyntheticConfig(options); }

ModelConfig Parsed(const Json& json) {
  const auto config = ParseModelConfig(json.dump());
  EXPECT_TRUE(config.ok()) << config.status();
  return config.ok() ? *config : ModelConfig{};
}

TEST(ModelConfig, ReadsTheBundledCheckpoint) {
  const auto config =
      ParseModelConfig(tests::ReadFile(tests::BundledCheckpoint() + "/config.json"));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->architecture, Architecture::kQwen3Moe);
  EXPECT_EQ(config->architecture_name, "Qwen3MoeForCausalLM");
  EXPECT_EQ(config->model_type, "qwen3_moe");
  EXPECT_EQ(config->vocab_size, 2048u);
  EXPECT_EQ(config->hidden_size, 128u);
  EXPECT_EQ(config->num_layers, 4u);
  EXPECT_EQ(config->num_heads, 4u);
  EXPECT_EQ(config->num_kv_heads, 2u);
  EXPECT_EQ(config->head_dim, 32u);
  EXPECT_EQ(config->max_position_embeddings, 4096u);
  EXPECT_EQ(config->rms_norm_eps, 1e-6f);
  EXPECT_EQ(config->rope_theta, 10000.0f);
  EXPECT_FALSE(config->attention_bias);
  EXPECT_TRUE(config->tie_word_embeddings);
  EXPECT_EQ(config->intermediate_size, 0u);  // no dense layer
  EXPECT_EQ(config->moe_intermediate_size, 128u);
  EXPECT_EQ(config->num_experts, 16u);
  EXPECT_EQ(config->num_experts_per_token, 2u);
  EXPECT_TRUE(config->norm_topk_prob);
  EXPECT_EQ(config->num_moe_layers(), 4u);
  EXPECT_THAT(config->eos_token_ids, ElementsAre(2045));
}

TEST(ModelConfig, OldAndNewKeysSayTheSame) {
  SyntheticOptions options = {.rope_theta = 1e6f};
  options.spelling = tests::ConfigSpelling::kOld;
  const ModelConfig old_keys = Parsed(ConfigJson(options));
  options.spelling = tests::ConfigSpelling::kNew;
  const ModelConfig new_keys = Parsed(ConfigJson(options));
  EXPECT_EQ(old_keys.num_experts, 8u);
  EXPECT_EQ(new_keys.num_experts, 8u);
  EXPECT_EQ(old_keys.rope_theta, 1e6f);
  EXPECT_EQ(new_keys.rope_theta, 1e6f);
}

TEST(ModelConfig, RopeParametersWinOverTopLevelTheta) {
  Json json = ConfigJson({.rope_theta = 5e5f});
  json["rope_theta"] = 1234.0;
  EXPECT_EQ(Parsed(json).rope_theta, 5e5f);
  json.erase("rope_parameters");
  EXPECT_EQ(Parsed(json).rope_theta, 1234.0f);
  json["rope_scaling"] = {{"type", "default"}};
  EXPECT_EQ(Parsed(json).rope_theta, 1234.0f);
  json.erase("rope_theta");
  json["rope_parameters"] = nullptr;
  EXPECT_EQ(Parsed(json).rope_theta, 10000.0f);
}

TEST(ModelConfig, HeadDimIsImpliedWhereItIsNotGiven) {
  Json json = ConfigJson({.hidden_size = 96, .num_heads = 4, .write_head_dim = false});
  EXPECT_EQ(Parsed(json).head_dim, 24u);
  json["head_dim"] = nullptr;
  EXPECT_EQ(Parsed(json).head_dim, 24u);
  json["head_dim"] = 64;  // need not be hidden / heads
  EXPECT_EQ(Parsed(json).head_dim, 64u);
}

TEST(ModelConfig, MoeLayersFollowStepAndExceptions) {
  const SyntheticOptions options = {
      .num_layers = 8, .mlp_only_layers = {3, 0}, .decoder_sparse_step = 2};
  const ModelConfig config = Parsed(ConfigJson(options));
  EXPECT_THAT(config.moe_layers, ElementsAre(false, true, false, false, false, true, false, true));
  EXPECT_EQ(config.num_moe_layers(), 3u);
  EXPECT_FALSE(config.is_moe(LayerId{3}));
  EXPECT_TRUE(config.is_moe(LayerId{7}));
  EXPECT_EQ(config.intermediate_size, 256u);
}

TEST(ModelConfig, OptionalKeysHaveTransformersDefaults) {
  Json json = ConfigJson({});
  for (const char* key :
       {"norm_topk_prob", "attention_bias", "tie_word_embeddings", "decoder_sparse_step",
        "mlp_only_layers", "rms_norm_eps", "eos_token_id", "hidden_act", "use_sliding_window",
        "architectures", "intermediate_size"}) {
    json.erase(key);
  }
  const ModelConfig config = Parsed(json);
  EXPECT_EQ(config.architecture_name, "Qwen3MoeForCausalLM");
  EXPECT_FALSE(config.norm_topk_prob);
  EXPECT_FALSE(config.attention_bias);
  EXPECT_FALSE(config.tie_word_embeddings);
  EXPECT_EQ(config.rms_norm_eps, 1e-6f);
  EXPECT_EQ(config.num_moe_layers(), config.num_layers);
  EXPECT_THAT(config.eos_token_ids, IsEmpty());
}

TEST(ModelConfig, FlagsAreReadBothWays) {
  for (const bool flag : {false, true}) {
    const ModelConfig config = Parsed(
        ConfigJson({.norm_topk_prob = flag, .attention_bias = flag, .tie_word_embeddings = flag}));
    EXPECT_EQ(config.norm_topk_prob, flag);
    EXPECT_EQ(config.attention_bias, flag);
    EXPECT_EQ(config.tie_word_embeddings, flag);
  }
}

TEST(ModelConfig, EosIsNullOneOrMany) {
  EXPECT_THAT(Parsed(ConfigJson({.eos_token_ids = {}})).eos_token_ids, IsEmpty());
  EXPECT_THAT(Parsed(ConfigJson({.eos_token_ids = {7}})).eos_token_ids, ElementsAre(7));
  EXPECT_THAT(Parsed(ConfigJson({.eos_token_ids = {7, 9}})).eos_token_ids, ElementsAre(7, 9));
}

TEST(ModelConfig, UnfoldsTextConfig) {
  const SyntheticOptions options = {.prefix = tests::WeightPrefix::kLanguageModel};
  Json json = ConfigJson(options);
  EXPECT_EQ(Parsed(json).hidden_size, 128u);
  EXPECT_EQ(Parsed(json).architecture_name, "Qwen3MoeForCausalLM");
  // What only the wrapper says counts too.
  json["text_config"].erase("eos_token_id");
  json["text_config"].erase("tie_word_embeddings");
  json["eos_token_id"] = {3, 4};
  json["tie_word_embeddings"] = true;
  EXPECT_THAT(Parsed(json).eos_token_ids, ElementsAre(3, 4));
  EXPECT_TRUE(Parsed(json).tie_word_embeddings);
}

TEST(ModelConfig, IgnoresUnknownKeys) {
  Json json = ConfigJson({});
  json["some_future_key"] = {{"nested", {1, 2, 3}}};
  json["quantization_config"] = nullptr;
  json["sliding_window"] = 4096;  // means nothing unless use_sliding_window is true
  json["max_window_layers"] = 28;
  EXPECT_EQ(Parsed(json).num_experts, 8u);
}

}  // namespace
}  // namespace spearfish
