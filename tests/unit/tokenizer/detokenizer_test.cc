#include "common/tokenizer/detokenizer.h"

#include <gtest/gtest.h>

#include "common/base/check.h"
#include "common/tokenizer/utf8.h"
#include "tests/unit/tokenizer/bundled_tokenizer.h"
#include "tests/unit/tokenizer/random_text.h"
#include "tests/unit/tokenizer/tiny_tokenizer.h"

namespace spearfish {
namespace {

constexpr Tokenizer::SpecialTokens kParse = Tokenizer::SpecialTokens::kParse;
constexpr Tokenizer::SpecialTokens kAsText = Tokenizer::SpecialTokens::kAsText;

// Ids 0 to 255 are the bytes, 300 is the special token <s>.
const Tokenizer& Bytes() {
  static const std::unique_ptr<Tokenizer> tokenizer = [] {
    nlohmann::json json = TinyTokenizerJson();
    json["added_tokens"] = nlohmann::json::array({AddedTokenJson(300, "<s>")});
    json["added_tokens"][0]["special"] = true;
    absl::StatusOr<std::unique_ptr<Tokenizer>> created = Tokenizer::Create(json.dump());
    SF_CHECK_OK(created.status());
    return *std::move(created);
  }();
  return *tokenizer;
}

TEST(Detokenizer, HoldsAnUnfinishedCharacterBack) {
  Detokenizer detokenizer(Bytes(), kParse);
  EXPECT_EQ(detokenizer.Append('a'), "a");
  EXPECT_EQ(detokenizer.Append(0xF0), "");
  EXPECT_EQ(detokenizer.Append(0x9F), "");
  EXPECT_EQ(detokenizer.Append(0x98), "");
  EXPECT_EQ(detokenizer.Append(0x80), "\U0001F600");
  EXPECT_EQ(detokenizer.Flush(), "");
}

TEST(Detokenizer, ReplacesBytesAtOnceWhenNothingCanFinishThem) {
  Detokenizer detokenizer(Bytes(), kParse);
  EXPECT_EQ(detokenizer.Append(0xFF), "\uFFFD");
  EXPECT_EQ(detokenizer.Append(0xE2), "");
  EXPECT_EQ(detokenizer.Append(0x82), "");
  EXPECT_EQ(detokenizer.Append('x'), "\uFFFDx");
  EXPECT_EQ(detokenizer.Append(0xE2), "");
  EXPECT_EQ(detokenizer.Append(0xC3), "\uFFFD");
  EXPECT_EQ(detokenizer.Append(0xA9), "\u00E9");
}

TEST(Detokenizer, FlushReplacesWhatIsLeftOnce) {
  Detokenizer detokenizer(Bytes(), kParse);
  EXPECT_EQ(detokenizer.Append(0xF0), "");
  EXPECT_EQ(detokenizer.Append(0x9F), "");
  EXPECT_EQ(detokenizer.Flush(), "\uFFFD");
  EXPECT_EQ(detokenizer.Flush(), "");
  EXPECT_EQ(detokenizer.Append('a'), "a");
}

TEST(Detokenizer, SkipsSpecialTokensEvenInsideACharacter) {
  Detokenizer skip(Bytes(), kParse);
  EXPECT_EQ(skip.Append(0xC3), "");
  EXPECT_EQ(skip.Append(300), "");
  EXPECT_EQ(skip.Append(0xA9), "\u00E9");
  Detokenizer keep(Bytes(), kAsText);
  EXPECT_EQ(keep.Append(0xC3), "");
  EXPECT_EQ(keep.Append(300), "\uFFFD<s>");
}

TEST(Detokenizer, IgnoresIdsOutsideTheVocabulary) {
  Detokenizer detokenizer(Bytes(), kParse);
  EXPECT_EQ(detokenizer.Append(280), "");
  EXPECT_EQ(detokenizer.Append(5'000'000), "");
  EXPECT_EQ(detokenizer.Flush(), "");
}

// Token by token must give what Decode gives at once, in whole characters.
void ExpectSameAsDecode(const Tokenizer& tokenizer, const std::vector<TokenId>& ids,
                        Tokenizer::SpecialTokens special) {
  Detokenizer detokenizer(tokenizer, special);
  std::string text;
  for (const TokenId id : ids) {
    const std::string piece = detokenizer.Append(id);
    EXPECT_EQ(ValidUtf8Prefix(piece), piece.size());
    text += piece;
  }
  text += detokenizer.Flush();
  const auto whole = tokenizer.Decode(ids, special);
  SF_CHECK_OK(whole.status());
  EXPECT_EQ(text, *whole);
}

TEST(Detokenizer, EqualsDecodeOnRandomIds) {
  RandomText random(5);
  for (int i = 0; i < 5000; ++i) {
    std::vector<TokenId> ids(random.Below(40));
    // Half the time only bytes from 0x80 on, which make every kind of broken character.
    const bool broken = random.Below(2) == 0;
    for (TokenId& id : ids) id = broken ? 0x80 + random.Below(0x80) : random.Below(256);
    for (TokenId& id : ids) id = random.Below(20) == 0 ? 300 : id;
    ExpectSameAsDecode(Bytes(), ids, kParse);
    ExpectSameAsDecode(Bytes(), ids, kAsText);
  }
}

TEST(Detokenizer, EqualsDecodeOnRandomTokensOfACheckpoint) {
  RandomText random(6);
  const Tokenizer& tokenizer = BundledTokenizer();
  for (int i = 0; i < 3000; ++i) {
    std::vector<TokenId> ids(random.Below(40));
    // The first 256 tokens are single bytes.
    for (TokenId& id : ids) id = random.Below(random.Below(2) == 0 ? 256 : 2048);
    ExpectSameAsDecode(tokenizer, ids, kParse);
    ExpectSameAsDecode(tokenizer, ids, kAsText);
  }
}

TEST(Detokenizer, StreamsEncodedTextUnharmed) {
  RandomText random(7);
  for (int i = 0; i < 2000; ++i) {
    const std::string text = random.Next(40);
    const auto ids = BundledTokenizer().Encode(text, kAsText);
    SF_CHECK_OK(ids.status());
    Detokenizer detokenizer(BundledTokenizer(), kAsText);
    std::string streamed;
    for (const TokenId id : *ids) streamed += detokenizer.Append(id);
    EXPECT_EQ(streamed, text);
    EXPECT_EQ(detokenizer.Flush(), "");
  }
}

}  // namespace
}  // namespace spearfish
