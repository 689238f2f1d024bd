// What Checkpoint::Open refuses, and that it says which tensor or file is at fault.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/safetensors/checkpoint.h"
#include "tests/support/synthetic_checkpoint.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_data.h"

namespace spearfish {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Json = nlohmann::json;
using tests::NamedTensor;
using tests::SyntheticCheckpoint;
using tests::SyntheticOptions;

class CheckpointRefusal : public ::testing::Test {
 protected:
  CheckpointRefusal()
      : options_{.vocab_size = 32,
                 .hidden_size = 16,
                 .num_layers = 2,
                 .num_heads = 2,
                 .num_kv_heads = 1,
                 .head_dim = 8,
                 .num_experts = 4,
                 .moe_intermediate_size = 12},
        files_(tests::MakeSyntheticCheckpoint(options_)) {}

  NamedTensor& Tensor(const std::string& name) {
    const auto found = std::find_if(files_.tensors.begin(), files_.tensors.end(),
                                    [&](const NamedTensor& t) { return t.name == name; });
    EXPECT_NE(found, files_.tensors.end()) << name;
    return *found;
  }

  void Remove(const std::string& name) {
    const NamedTensor* tensor = &Tensor(name);
    files_.tensors.erase(files_.tensors.begin() + (tensor - files_.tensors.data()));
  }

  // Writes the files as they stand now and opens them.
  absl::Status Open() {
    tests::WriteSyntheticCheckpoint(files_, options_, dir_.path());
    return Checkpoint::Open(dir_.path()).status();
  }

  void ExpectRefused(absl::StatusCode code, const std::vector<std::string>& parts) {
    const absl::Status status = Open();
    EXPECT_EQ(status.code(), code) << status;
    for (const std::string& part : parts) {
      EXPECT_THAT(std::string(status.message()), HasSubstr(part));
    }
  }

  SyntheticOptions options_;
  SyntheticCheckpoint files_;
  tests::TempDir dir_;
};

TEST_F(CheckpointRefusal, EveryMissingTensorIsNamedWithItsShape) {
  const std::pair<const char*, const char*> cases[] = {
      {"model.embed_tokens.weight", "[32, 16]"},
      {"model.layers.0.input_layernorm.weight", "[16]"},
      {"model.layers.1.self_attn.q_proj.weight", "[16, 16]"},
      {"model.layers.1.self_attn.k_proj.weight", "[8, 16]"},
      {"model.layers.1.self_attn.v_proj.weight", "[8, 16]"},
      {"model.layers.1.self_attn.o_proj.weight", "[16, 16]"},
      {"model.layers.1.self_attn.q_norm.weight", "[8]"},
      {"model.layers.1.self_attn.k_norm.weight", "[8]"},
      {"model.layers.1.post_attention_layernorm.weight", "[16]"},
      {"model.layers.1.mlp.gate.weight", "[4, 16]"},
      {"model.layers.1.mlp.experts.0.gate_proj.weight", "[12, 16]"},
      {"model.layers.1.mlp.experts.3.down_proj.weight", "[16, 12]"},
      {"model.norm.weight", "[16]"},
      {"lm_head.weight", "[32, 16]"},
  };
  const SyntheticCheckpoint whole = files_;
  for (const auto& [name, shape] : cases) {
    files_ = whole;
    Remove(name);
    ExpectRefused(absl::StatusCode::kNotFound,
                  {absl::StrCat("tensor missing: ", name, " ", shape)});
  }
}

TEST_F(CheckpointRefusal, MissingFusedDownProjectionIsNamed) {
  options_.experts = tests::ExpertStorage::kFused;
  files_ = tests::MakeSyntheticCheckpoint(options_);
  Remove("model.layers.0.mlp.experts.down_proj");
  ExpectRefused(absl::StatusCode::kNotFound, {"model.layers.0.mlp.experts.down_proj [4, 16, 12]"});
}

TEST_F(CheckpointRefusal, MissingDenseAndBiasTensorsAreNamed) {
  options_.mlp_only_layers = {1};
  options_.attention_bias = true;
  const SyntheticCheckpoint whole = tests::MakeSyntheticCheckpoint(options_);
  for (const char* name :
       {"model.layers.1.mlp.up_proj.weight", "model.layers.0.self_attn.q_proj.bias",
        "model.layers.0.self_attn.o_proj.bias"}) {
    files_ = whole;
    Remove(name);
    ExpectRefused(absl::StatusCode::kNotFound, {name});
  }
}

TEST_F(CheckpointRefusal, WrongShapesAreNamedWithBoth) {
  std::swap(Tensor("model.layers.0.mlp.experts.2.up_proj.weight").shape[0],
            Tensor("model.layers.0.mlp.experts.2.up_proj.weight").shape[1]);
  ExpectRefused(absl::StatusCode::kInvalidArgument,
                {"model.layers.0.mlp.experts.2.up_proj.weight is [16, 12]", "needs [12, 16]"});
}

TEST_F(CheckpointRefusal, FusedExpertsInTheOtherOrderAreAWrongShape) {
  options_.experts = tests::ExpertStorage::kFused;
  files_ = tests::MakeSyntheticCheckpoint(options_);
  Tensor("model.layers.1.mlp.experts.gate_up_proj").shape = {4, 16, 24};
  ExpectRefused(absl::StatusCode::kInvalidArgument, {"gate_up_proj is [4, 16, 24]", "[4, 24, 16]"});
}

TEST_F(CheckpointRefusal, WrongDtypesAreNamed) {
  NamedTensor& norm = Tensor("model.norm.weight");
  norm.dtype = DType::kI8;
  norm.bytes.resize(16);
  ExpectRefused(absl::StatusCode::kInvalidArgument, {"model.norm.weight is I8", "BF16"});
}

TEST_F(CheckpointRefusal, TwoSpellingsOfOneTensorAreRefused) {
  NamedTensor copy = Tensor("model.norm.weight");
  copy.name = "language_model.model.norm.weight";
  files_.tensors.push_back(copy);
  ExpectRefused(absl::StatusCode::kInvalidArgument, {"tensor given twice", "model.norm.weight"});
}

TEST_F(CheckpointRefusal, ConfigOfAnotherArchitecture) {
  files_.config["architectures"] = {"MixtralForCausalLM"};
  ExpectRefused(absl::StatusCode::kUnimplemented, {"MixtralForCausalLM", dir_.path()});
}

TEST_F(CheckpointRefusal, ConfigWhoseHeadsDoNotDivide) {
  files_.config["num_attention_heads"] = 3;
  files_.config["num_key_value_heads"] = 2;
  ExpectRefused(absl::StatusCode::kInvalidArgument, {"num_attention_heads is 3"});
}

TEST_F(CheckpointRefusal, GenerationConfigOutOfRange) {
  files_.generation_config["eos_token_id"] = 32;
  ExpectRefused(absl::StatusCode::kInvalidArgument, {"eos_token_id", "32"});
  files_.generation_config = {{"top_p", 3}};
  ExpectRefused(absl::StatusCode::kInvalidArgument, {"top_p is 3"});
}

TEST_F(CheckpointRefusal, MissingFilesAreNamed) {
  EXPECT_THAT(std::string(Checkpoint::Open(dir_.File("none")).status().message()),
              HasSubstr("config.json"));
  ASSERT_TRUE(Open().ok());
  std::filesystem::remove(dir_.File("model.safetensors"));
  const absl::Status status = Checkpoint::Open(dir_.path()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("model.safetensors"), HasSubstr("model.safetensors.index.json")));
}

TEST_F(CheckpointRefusal, ATruncatedShardIsNamed) {
  options_.num_shards = 3;
  ASSERT_TRUE(Open().ok());
  const std::string shard = dir_.File("model-00002-of-00003.safetensors");
  const std::string content = tests::ReadFile(shard);
  tests::WriteFile(shard, content.substr(0, content.size() - 1));
  const absl::Status status = Checkpoint::Open(dir_.path()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("model-00002-of-00003"), HasSubstr("truncated")));
  std::filesystem::remove(shard);
  EXPECT_EQ(Checkpoint::Open(dir_.path()).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(CheckpointRefusal, ShardNamesOutsideTheFolderAreRefused) {
  options_.num_shards = 2;
  ASSERT_TRUE(Open().ok());
  const std::string index_path = dir_.File("model.safetensors.index.json");
  for (const char* name : {"../x.safetensors", "/etc/passwd", "sub/x.safetensors", "..", "", "."}) {
    Json index = Json::parse(tests::ReadFile(index_path));
    index["weight_map"]["model.norm.weight"] = name;
    tests::WriteFile(dir_.File("model.safetensors.index.json"), index.dump());
    const absl::Status status = Checkpoint::Open(dir_.path()).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_THAT(std::string(status.message()), HasSubstr("bad shard name")) << name;
  }
}

TEST_F(CheckpointRefusal, AnIndexThatLiesAboutAShardIsNamed) {
  options_.num_shards = 2;
  ASSERT_TRUE(Open().ok());
  const std::string index_path = dir_.File("model.safetensors.index.json");
  Json index = Json::parse(tests::ReadFile(index_path));
  index["weight_map"]["model.norm.weight"] = "model-00001-of-00002.safetensors";
  tests::WriteFile(index_path, index.dump());
  const absl::Status status = Checkpoint::Open(dir_.path()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("model.norm.weight"), HasSubstr("model-00001-of-00002")));
  for (const char* text : {"[]", "{}", R"({"weight_map": 3})", R"({"weight_map": {"a": 3}})"}) {
    tests::WriteFile(index_path, text);
    EXPECT_EQ(Checkpoint::Open(dir_.path()).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace spearfish
