#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "common/base/check.h"
#include "common/tokenizer/normalizer.h"
#include "tests/unit/tokenizer/bundled_tokenizer.h"
#include "tests/unit/tokenizer/random_text.h"

namespace spearfish {
namespace {

constexpr Tokenizer::SpecialTokens kParse = Tokenizer::SpecialTokens::kParse;
constexpr Tokenizer::SpecialTokens kAsText = Tokenizer::SpecialTokens::kAsText;

std::string RoundTrip(const Tokenizer& tokenizer, absl::string_view text,
                      Tokenizer::SpecialTokens special) {
  const auto ids = tokenizer.Encode(text, special);
  SF_CHECK_OK(ids.status());
  const auto decoded = tokenizer.Decode(*ids, kAsText);
  SF_CHECK_OK(decoded.status());
  return *decoded;
}

TEST(TokenizerRoundTrip, RandomTextComesBack) {
  RandomText random(1);
  for (int i = 0; i < 5000; ++i) {
    const std::string text = random.Next(60);
    EXPECT_EQ(RoundTrip(BundledTokenizer(), text, kParse), text);
  }
}

TEST(TokenizerRoundTrip, RandomTextComesBackNormalized) {
  std::ifstream file(BundledTokenizerPath());
  nlohmann::json document = nlohmann::json::parse(file);
  document["normalizer"] = {{"type", "NFC"}};
  const auto tokenizer = Tokenizer::Create(document.dump());
  SF_CHECK_OK(tokenizer.status());
  RandomText random(2);
  for (int i = 0; i < 5000; ++i) {
    const std::string text = random.Next(60);
    EXPECT_EQ(RoundTrip(**tokenizer, text, kParse), NormalizeNfc(text));
  }
}

TEST(TokenizerRoundTrip, SpecialTokensInRandomTextComeBackEitherWay) {
  RandomText random(3);
  for (int i = 0; i < 2000; ++i) {
    std::string text = random.Next(10);
    for (int n = random.Below(4); n > 0; --n) text += "<|im_start|>" + random.Next(10);
    EXPECT_EQ(RoundTrip(BundledTokenizer(), text, kParse), text);
    EXPECT_EQ(RoundTrip(BundledTokenizer(), text, kAsText), text);
  }
}

TEST(TokenizerRoundTrip, EveryTokenThatIsTextEncodesToAtMostItself) {
  const Tokenizer& tokenizer = BundledTokenizer();
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
    const auto bytes = tokenizer.TokenBytes(id);
    SF_CHECK_OK(bytes.status());
    const auto ids = tokenizer.Encode(*bytes, kParse);
    if (!ids.ok()) continue;  // part of a character
    std::string joined;
    for (const TokenId part : *ids) joined += std::string(*tokenizer.TokenBytes(part));
    EXPECT_EQ(joined, *bytes);
  }
}

}  // namespace
}  // namespace spearfish
