// Ids from independent implementations: the goldens of the reference checkpoints (transformers) and
// testdata/reference_ids.json (Hugging Face tokenizers).
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "common/base/check.h"
#include "common/tokenizer/tokenizer.h"

namespace spearfish {
namespace {

using nlohmann::json;

json ReadJson(const std::string& path) {
  std::ifstream file(path);
  SF_CHECK(file.good());
  return json::parse(file);
}

const std::string& SourceDir() {
  static const std::string dir = SPEARFISH_SOURCE_DIR;
  return dir;
}

// Every prompt of `golden` encodes to its ids, and back. Returns how many there were.
int CheckPrompts(const Tokenizer& tokenizer, const json& golden) {
  int num_prompts = 0;
  for (const char* list : {"bf16_experts", "int4_absmax_experts"}) {
    for (const json& entry : golden.at(list)) {
      if (!entry.contains("prompt")) continue;
      ++num_prompts;
      const auto prompt = entry["prompt"].get<std::string>();
      const auto expected = entry["ids"].get<std::vector<TokenId>>();
      const auto ids = tokenizer.Encode(prompt, Tokenizer::SpecialTokens::kParse);
      SF_CHECK_OK(ids.status());
      EXPECT_EQ(*ids, expected) << prompt;
      const auto text = tokenizer.Decode(expected, Tokenizer::SpecialTokens::kAsText);
      SF_CHECK_OK(text.status());
      EXPECT_EQ(*text, prompt);
    }
  }
  return num_prompts;
}

TEST(TokenizerGolden, BundledPrompts) {
  const auto tokenizer =
      Tokenizer::FromFile(SourceDir() + "/tests/data/qwen3-moe-3m/tokenizer.json");
  SF_CHECK_OK(tokenizer.status());
  const json golden = ReadJson(SourceDir() + "/tests/data/golden/qwen3-moe-3m.json");
  EXPECT_GT(CheckPrompts(**tokenizer, golden), 0);
}

TEST(TokenizerGolden, PromptsOfAllReferenceCheckpoints) {
  const std::filesystem::path shared = SourceDir() + "/../shared";
  if (!std::filesystem::exists(shared / "golden")) {
    GTEST_SKIP() << "no reference checkpoints beside the repository: " << shared;
  }
  int num_models = 0;
  for (const auto& file : std::filesystem::directory_iterator(shared / "golden")) {
    if (file.path().extension() != ".json") continue;
    const auto model = shared / "models" / file.path().stem() / "tokenizer.json";
    if (!std::filesystem::exists(model)) continue;
    SCOPED_TRACE(file.path().string());
    const auto tokenizer = Tokenizer::FromFile(model.string());
    SF_CHECK_OK(tokenizer.status());
    EXPECT_GT(CheckPrompts(**tokenizer, ReadJson(file.path().string())), 0);
    ++num_models;
  }
  EXPECT_GT(num_models, 0);
}

// Each variant is the bundled tokenizer.json with a merge patch (RFC 7386) applied.
TEST(TokenizerGolden, ReferenceIdsOfEveryVariant) {
  const json bundled = ReadJson(SourceDir() + "/tests/data/qwen3-moe-3m/tokenizer.json");
  const json reference =
      ReadJson(SourceDir() + "/tests/unit/tokenizer/testdata/reference_ids.json");
  for (const json& variant : reference.at("variants")) {
    SCOPED_TRACE(variant.at("name").get<std::string>());
    json document = bundled;
    document.merge_patch(variant.at("patch"));
    const auto tokenizer = Tokenizer::Create(document.dump());
    SF_CHECK_OK(tokenizer.status());
    for (const json& entry : variant.at("cases")) {
      const auto text = entry.at("text").get<std::string>();
      const auto ids = (*tokenizer)->Encode(text, Tokenizer::SpecialTokens::kParse);
      SF_CHECK_OK(ids.status());
      EXPECT_EQ(*ids, entry.at("ids").get<std::vector<TokenId>>()) << json(text).dump();
    }
  }
}

}  // namespace
}  // namespace spearfish
