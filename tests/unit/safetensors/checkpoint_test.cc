#include "common/safetensors/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "tests/support/synthetic_checkpoint.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_data.h"

namespace spearfish {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using tests::SyntheticOptions;

// A small model, so that every spelling of it is cheap to write.
SyntheticOptions Tiny() {
  return {.vocab_size = 32,
          .hidden_size = 16,
          .num_layers = 3,
          .num_heads = 2,
          .num_kv_heads = 1,
          .head_dim = 8,
          .num_experts = 4,
          .moe_intermediate_size = 12,
          .intermediate_size = 20,
          .mlp_only_layers = {1}};
}

std::unique_ptr<Checkpoint> WriteAndOpen(const SyntheticOptions& options,
                                         const tests::TempDir& dir) {
  tests::WriteSyntheticCheckpoint(options, dir.path());
  auto checkpoint = Checkpoint::Open(dir.path());
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
  return checkpoint.ok() ? *std::move(checkpoint) : nullptr;
}

std::vector<float> Widen(const HostTensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.num_elements()));
  EXPECT_TRUE(WidenToFloat(tensor, values).ok());
  return values;
}

void ExpectSameExpert(const Checkpoint& a, const Checkpoint& b, LayerId layer, ExpertId expert) {
  const auto left = a.Expert(layer, expert);
  const auto right = b.Expert(layer, expert);
  ASSERT_TRUE(left.ok()) << left.status();
  ASSERT_TRUE(right.ok()) << right.status();
  EXPECT_THAT(left->gate.shape, ElementsAre(12, 16));
  EXPECT_THAT(left->up.shape, ElementsAre(12, 16));
  EXPECT_THAT(left->down.shape, ElementsAre(16, 12));
  EXPECT_EQ(left->gate.shape, right->gate.shape);
  EXPECT_EQ(left->up.shape, right->up.shape);
  EXPECT_EQ(left->down.shape, right->down.shape);
  EXPECT_EQ(Widen(left->gate), Widen(right->gate));
  EXPECT_EQ(Widen(left->up), Widen(right->up));
  EXPECT_EQ(Widen(left->down), Widen(right->down));
  EXPECT_NE(Widen(left->gate), Widen(left->up));
}

// Both hold the same weights, whatever their files look like.
void ExpectSameWeights(const Checkpoint& a, const Checkpoint& b) {
  for (const char* name :
       {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight",
        "model.layers.0.mlp.gate.weight", "model.layers.1.mlp.down_proj.weight",
        "model.layers.2.self_attn.o_proj.weight", "model.layers.2.self_attn.q_norm.weight"}) {
    const auto left = a.Find(name);
    const auto right = b.Find(name);
    ASSERT_TRUE(left.ok()) << left.status();
    ASSERT_TRUE(right.ok()) << right.status();
    EXPECT_EQ(left->shape, right->shape) << name;
    EXPECT_EQ(Widen(*left), Widen(*right)) << name;
  }
  for (const LayerId layer : {LayerId{0}, LayerId{2}}) {
    for (uint32_t expert = 0; expert < 4; ++expert) {
      ExpectSameExpert(a, b, layer, ExpertId{expert});
    }
  }
}

TEST(Checkpoint, OpensTheBundledOne) {
  const auto checkpoint = Checkpoint::Open(tests::BundledCheckpoint());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_EQ((*checkpoint)->config().num_experts, 16u);
  EXPECT_EQ((*checkpoint)->config_text(),
            tests::ReadFile(tests::BundledCheckpoint() + "/config.json"));
  EXPECT_EQ((*checkpoint)->shards().size(), 1u);
  EXPECT_FALSE((*checkpoint)->Has("lm_head.weight"));  // tied
  EXPECT_TRUE((*checkpoint)->Expert(LayerId{3}, ExpertId{15}).ok());
}

TEST(Checkpoint, OpensTheLargerReferenceModel) {
  const auto folder = tests::SharedPath("models/qwen3-moe-15m");
  if (!folder.has_value()) GTEST_SKIP() << "../shared/models/qwen3-moe-15m is not there";
  const auto checkpoint = Checkpoint::Open(*folder);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_EQ((*checkpoint)->config().num_experts_per_token, 4u);
  EXPECT_TRUE((*checkpoint)->Has("lm_head.weight"));
}

TEST(Checkpoint, FusedExpertsAreTheSeparateOnes) {
  const tests::TempDir separate_dir;
  const tests::TempDir fused_dir;
  SyntheticOptions options = Tiny();
  const auto separate = WriteAndOpen(options, separate_dir);
  options.experts = tests::ExpertStorage::kFused;
  const auto fused = WriteAndOpen(options, fused_dir);
  ASSERT_TRUE(separate && fused);
  EXPECT_TRUE(fused->Has("model.layers.0.mlp.experts.gate_up_proj"));
  ExpectSameWeights(*separate, *fused);
}

TEST(Checkpoint, PrefixesResolveToCanonicalNames) {
  const tests::TempDir plain_dir;
  const auto plain = WriteAndOpen(Tiny(), plain_dir);
  for (const auto prefix :
       {tests::WeightPrefix::kLanguageModel, tests::WeightPrefix::kModelLanguageModel}) {
    for (const auto experts : {tests::ExpertStorage::kSeparate, tests::ExpertStorage::kFused}) {
      const tests::TempDir dir;
      SyntheticOptions options = Tiny();
      options.prefix = prefix;
      options.experts = experts;
      const auto prefixed = WriteAndOpen(options, dir);
      ASSERT_TRUE(plain && prefixed);
      ExpectSameWeights(*plain, *prefixed);
    }
  }
}

TEST(Checkpoint, ShardsAreOneCheckpoint) {
  const tests::TempDir single_dir;
  const tests::TempDir sharded_dir;
  SyntheticOptions options = Tiny();
  const auto single = WriteAndOpen(options, single_dir);
  options.num_shards = 5;
  const auto sharded = WriteAndOpen(options, sharded_dir);
  ASSERT_TRUE(single && sharded);
  ASSERT_EQ(sharded->shards().size(), 5u);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_THAT(sharded->shards()[i]->path(), HasSubstr("model-0000" + std::to_string(i + 1)));
  }
  ExpectSameWeights(*single, *sharded);
}

TEST(Checkpoint, ReadsEveryFloatDtype) {
  for (const DType dtype : {DType::kBF16, DType::kF16, DType::kF32}) {
    const tests::TempDir dir;
    SyntheticOptions options = Tiny();
    options.dtype = dtype;
    const auto checkpoint = WriteAndOpen(options, dir);
    ASSERT_TRUE(checkpoint);
    EXPECT_EQ(checkpoint->Expert(LayerId{0}, ExpertId{1})->gate.dtype, dtype);
  }
}

TEST(Checkpoint, TiedEmbeddingsNeedNoHead) {
  const tests::TempDir dir;
  SyntheticOptions options = Tiny();
  options.tie_word_embeddings = true;
  const auto checkpoint = WriteAndOpen(options, dir);
  ASSERT_TRUE(checkpoint);
  EXPECT_FALSE(checkpoint->Has("lm_head.weight"));
  EXPECT_EQ(checkpoint->Find("lm_head.weight").status().code(), absl::StatusCode::kNotFound);
}

TEST(Checkpoint, AttentionBiasesAreThere) {
  const tests::TempDir dir;
  SyntheticOptions options = Tiny();
  options.attention_bias = true;
  const auto checkpoint = WriteAndOpen(options, dir);
  ASSERT_TRUE(checkpoint);
  EXPECT_THAT(checkpoint->Find("model.layers.0.self_attn.q_proj.bias")->shape, ElementsAre(16));
  EXPECT_THAT(checkpoint->Find("model.layers.0.self_attn.k_proj.bias")->shape, ElementsAre(8));
  EXPECT_THAT(checkpoint->Find("model.layers.0.self_attn.o_proj.bias")->shape, ElementsAre(16));
}

TEST(Checkpoint, GenerationConfigIsOptional) {
  SyntheticOptions options = Tiny();
  options.eos_token_ids = {3, 5};
  tests::SyntheticCheckpoint files = tests::MakeSyntheticCheckpoint(options);
  files.generation_config["do_sample"] = true;
  {
    const tests::TempDir dir;
    tests::WriteSyntheticCheckpoint(files, options, dir.path());
    const auto checkpoint = Checkpoint::Open(dir.path());
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
    EXPECT_EQ((*checkpoint)->generation_config().temperature, 1.0f);
    EXPECT_THAT((*checkpoint)->generation_config().eos_token_ids, ElementsAre(3, 5));
  }
  files.generation_config = nullptr;
  const tests::TempDir dir;
  tests::WriteSyntheticCheckpoint(files, options, dir.path());
  const auto checkpoint = Checkpoint::Open(dir.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_EQ((*checkpoint)->generation_config().temperature, 0.0f);
}

TEST(Checkpoint, ExpertsThatAreNotThereAreErrors) {
  const tests::TempDir dir;
  const auto checkpoint = WriteAndOpen(Tiny(), dir);
  ASSERT_TRUE(checkpoint);
  for (const auto& [layer, expert] : {std::pair{0u, 4u}, {3u, 0u}, {1u, 0u}, {~0u, ~0u}}) {
    EXPECT_EQ(checkpoint->Expert(LayerId{layer}, ExpertId{expert}).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace spearfish
