#include "common/tokenizer/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/check.h"
#include "tests/unit/tokenizer/bundled_tokenizer.h"
#include "tests/unit/tokenizer/tiny_tokenizer.h"

namespace spearfish {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr Tokenizer::SpecialTokens kParse = Tokenizer::SpecialTokens::kParse;
constexpr Tokenizer::SpecialTokens kAsText = Tokenizer::SpecialTokens::kAsText;

std::unique_ptr<Tokenizer> Load(const nlohmann::json& json) {
  absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::Create(json.dump());
  SF_CHECK_OK(tokenizer.status());
  return *std::move(tokenizer);
}

std::vector<TokenId> Encode(const Tokenizer& tokenizer, absl::string_view text,
                            Tokenizer::SpecialTokens special = kParse) {
  absl::StatusOr<std::vector<TokenId>> ids = tokenizer.Encode(text, special);
  SF_CHECK_OK(ids.status());
  return *std::move(ids);
}

std::string Decode(const Tokenizer& tokenizer, std::vector<TokenId> ids,
                   Tokenizer::SpecialTokens special = kParse) {
  absl::StatusOr<std::string> text = tokenizer.Decode(ids, special);
  SF_CHECK_OK(text.status());
  return *std::move(text);
}

TEST(Tokenizer, ReadsMergesAsPairsAndAsStrings) {
  nlohmann::json json = TinyTokenizerJson({{"t", "h"}, {"th", "e"}});
  EXPECT_THAT(Encode(*Load(json), "the"), ElementsAre(257));
  json["model"]["merges"] = {"#version: 0.2", "t h", "th e"};
  EXPECT_THAT(Encode(*Load(json), "the"), ElementsAre(257));
}

TEST(Tokenizer, ReadsModelsWithoutAType) {
  nlohmann::json json = TinyTokenizerJson({{"t", "h"}});
  json["model"].erase("type");
  json["model"]["unk_token"] = "";
  json["model"]["continuing_subword_prefix"] = "";
  json["model"]["end_of_word_suffix"] = "";
  EXPECT_THAT(Encode(*Load(json), "th"), ElementsAre(256));
}

TEST(Tokenizer, AcceptsPostProcessorsThatAddNothing) {
  nlohmann::json json = TinyTokenizerJson();
  const nlohmann::json sequence_a = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  const nlohmann::json processor = {{"type", "TemplateProcessing"},
                                    {"single", nlohmann::json::array({sequence_a})},
                                    {"special_tokens", nlohmann::json::object()}};
  json["post_processor"] = processor;
  EXPECT_THAT(Encode(*Load(json), "a"), ElementsAre('a'));
  json["post_processor"] = {
      {"type", "Sequence"},
      {"processors", nlohmann::json::array({{{"type", "ByteLevel"}}, processor})}};
  EXPECT_THAT(Encode(*Load(json), "a"), ElementsAre('a'));
}

TEST(Tokenizer, NormalizesOnlyWhenTold) {
  nlohmann::json json = TinyTokenizerJson();
  EXPECT_THAT(Encode(*Load(json), "e\u0301"), ElementsAre('e', 0xCC, 0x81));
  json["normalizer"] = {{"type", "NFC"}};
  EXPECT_THAT(Encode(*Load(json), "e\u0301"), ElementsAre(0xC3, 0xA9));
  json["normalizer"] = {{"type", "Sequence"},
                        {"normalizers", nlohmann::json::array({{{"type", "NFC"}}})}};
  EXPECT_THAT(Encode(*Load(json), "e\u0301"), ElementsAre(0xC3, 0xA9));
}

TEST(Tokenizer, LooksForAddedTokensBeforeOrAfterNormalizing) {
  nlohmann::json json = TinyTokenizerJson();
  json["normalizer"] = {{"type", "NFC"}};
  json["added_tokens"] = nlohmann::json::array({AddedTokenJson(300, "e\u0301")});
  EXPECT_THAT(Encode(*Load(json), "e\u0301"), ElementsAre(300));
  EXPECT_THAT(Encode(*Load(json), "\u00E9"), ElementsAre(0xC3, 0xA9));
  json["added_tokens"][0]["normalized"] = true;
  EXPECT_THAT(Encode(*Load(json), "e\u0301\u00E9"), ElementsAre(300, 300));
}

TEST(Tokenizer, SpecialTokensParsedOrAsText) {
  const Tokenizer& tokenizer = BundledTokenizer();
  EXPECT_THAT(Encode(tokenizer, "<|im_end|>"), ElementsAre(2047));
  const std::vector<TokenId> text = Encode(tokenizer, "<|im_end|>", kAsText);
  EXPECT_GT(text.size(), 1u);
  for (const TokenId id : text) EXPECT_FALSE(tokenizer.IsSpecial(id));
  EXPECT_EQ(Decode(tokenizer, text, kParse), "<|im_end|>");
  EXPECT_EQ(Decode(tokenizer, {2046, 64, 2047}, kParse), "a");
  EXPECT_EQ(Decode(tokenizer, {2046, 64, 2047}, kAsText), "<|im_start|>a<|im_end|>");
}

TEST(Tokenizer, KnowsItsTokens) {
  const Tokenizer& tokenizer = BundledTokenizer();
  EXPECT_EQ(tokenizer.vocab_size(), 2048u);
  EXPECT_EQ(*tokenizer.FindToken("<|endoftext|>"), 2045u);
  EXPECT_EQ(*tokenizer.FindToken("\u0120the"), 258u);
  EXPECT_EQ(tokenizer.FindToken("no such token").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(*tokenizer.TokenBytes(258), " the");
  EXPECT_EQ(*tokenizer.TokenBytes(2045), "<|endoftext|>");
  EXPECT_TRUE(tokenizer.IsSpecial(2045));
  EXPECT_FALSE(tokenizer.IsSpecial(258));
  EXPECT_FALSE(tokenizer.IsSpecial(1u << 31));
}

TEST(Tokenizer, NamesAnIdOutsideTheVocabulary) {
  const Tokenizer& tokenizer = BundledTokenizer();
  EXPECT_EQ(tokenizer.TokenBytes(2048).status().code(), absl::StatusCode::kOutOfRange);
  const std::vector<TokenId> ids = {64, 4'000'000'000};
  const absl::Status status = tokenizer.Decode(ids, kParse).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(status.message(), HasSubstr("4000000000"));
}

TEST(Tokenizer, NamesTheFirstByteThatIsNotUtf8) {
  const absl::Status status = BundledTokenizer().Encode("abc\xFFz", kParse).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("byte 3 of 5"));
}

TEST(Tokenizer, EmptyTextAndEmptyVocabulary) {
  EXPECT_THAT(Encode(BundledTokenizer(), ""), ElementsAre());
  EXPECT_EQ(Decode(BundledTokenizer(), {}), "");
  nlohmann::json json = TinyTokenizerJson();
  json["model"]["vocab"] = nlohmann::json::object();
  const std::unique_ptr<Tokenizer> empty = Load(json);
  EXPECT_EQ(empty->vocab_size(), 0u);
  EXPECT_FALSE(empty->Encode("a", kParse).ok());
}

TEST(Tokenizer, EncodesLongRunsOfOneCharacter) {
  const Tokenizer& tokenizer = BundledTokenizer();
  for (const char letter : {'a', ' ', '\n', '7', '!'}) {
    const std::string text(1 << 20, letter);
    EXPECT_EQ(Decode(tokenizer, Encode(tokenizer, text)), text) << letter;
  }
}

}  // namespace
}  // namespace spearfish
