#include "common/config/generation_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "tests/support/test_data.h"

namespace spearfish {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

GenerationConfig Parsed(const std::string& text) {
  const auto config = ParseGenerationConfig(text);
  EXPECT_TRUE(config.ok()) << config.status();
  return config.ok() ? *config : GenerationConfig{};
}

TEST(GenerationConfig, IsGreedyUnlessToldToSample) {
  EXPECT_EQ(Parsed("{}").temperature, 0.0f);
  EXPECT_EQ(Parsed(R"({"do_sample": false, "temperature": 0.7})").temperature, 0.0f);
  EXPECT_EQ(Parsed(R"({"temperature": 0.7})").temperature, 0.0f);
  EXPECT_EQ(Parsed(R"({"do_sample": true})").temperature, 1.0f);
  EXPECT_EQ(Parsed(R"({"do_sample": true, "temperature": 0.7})").temperature, 0.7f);
}

TEST(GenerationConfig, ReadsWhatQwen3Publishes) {
  const GenerationConfig config = Parsed(R"({
    "bos_token_id": 151643, "do_sample": true, "eos_token_id": [151645, 151643],
    "pad_token_id": 151643, "temperature": 0.6, "top_k": 20, "top_p": 0.95,
    "transformers_version": "4.51.0"})");
  EXPECT_EQ(config.temperature, 0.6f);
  EXPECT_EQ(config.top_k, 20u);
  EXPECT_EQ(config.top_p, 0.95f);
  EXPECT_EQ(config.min_p, 0.0f);
  EXPECT_EQ(config.repetition_penalty, 1.0f);
  EXPECT_THAT(config.eos_token_ids, ElementsAre(151645, 151643));
}

TEST(GenerationConfig, TakesOneEosIdOrNull) {
  EXPECT_THAT(Parsed(R"({"eos_token_id": 7})").eos_token_ids, ElementsAre(7));
  EXPECT_THAT(Parsed(R"({"eos_token_id": null, "top_p": null})").eos_token_ids, IsEmpty());
}

TEST(GenerationConfig, ReadsTheBundledFile) {
  const GenerationConfig config =
      Parsed(tests::ReadFile(tests::BundledCheckpoint() + "/generation_config.json"));
  EXPECT_EQ(config.temperature, 0.0f);
}

TEST(GenerationConfig, RefusesValuesOutOfRangeByKey) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"temperature": -0.1})", "temperature is -0.1"},
      {R"({"temperature": "hot"})", "temperature is \"hot\""},
      {R"({"top_p": 0})", "top_p is 0"},
      {R"({"top_p": 1.01})", "top_p is 1.01"},
      {R"({"top_k": -1})", "top_k is -1"},
      {R"({"top_k": 2.5})", "top_k is 2.5"},
      {R"({"min_p": 2})", "min_p is 2"},
      {R"({"repetition_penalty": 0})", "repetition_penalty is 0"},
      {R"({"eos_token_id": [1, -2]})", "eos_token_id is -2"},
      {R"({"eos_token_id": 4294967296})", "eos_token_id is 4294967296"},
      {R"({"do_sample": 1})", "do_sample is 1"},
      {"[]", "not a JSON object"},
      {"{", "malformed JSON"},
  };
  for (const auto& [text, expected] : cases) {
    const auto config = ParseGenerationConfig(text);
    ASSERT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(config.status().message()), HasSubstr(expected));
  }
}

}  // namespace
}  // namespace spearfish
