#include "common/tokenizer/added_tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"

namespace spearfish {
namespace {

using ::testing::ElementsAre;

constexpr Tokenizer::SpecialTokens kParse = Tokenizer::SpecialTokens::kParse;
constexpr Tokenizer::SpecialTokens kAsText = Tokenizer::SpecialTokens::kAsText;

// "7[text]" for token 7 found over `text`, "text" for what is between.
std::vector<std::string> Split(const std::vector<AddedToken>& tokens, absl::string_view text,
                               Tokenizer::SpecialTokens special = kParse) {
  std::vector<std::string> segments;
  SF_CHECK_OK(AddedTokens(tokens).Split(text, special, [&](const AddedTokens::Segment& segment) {
    segments.push_back(segment.id.has_value() ? absl::StrCat(*segment.id, "[", segment.text, "]")
                                              : std::string(segment.text));
    return absl::OkStatus();
  }));
  return segments;
}

TEST(AddedTokens, CutsTheTextAtTokens) {
  const std::vector<AddedToken> tokens = {{.id = 1, .text = "<s>"}, {.id = 2, .text = "</s>"}};
  EXPECT_THAT(Split(tokens, "<s>a b</s><s>"), ElementsAre("1[<s>]", "a b", "2[</s>]", "1[<s>]"));
  EXPECT_THAT(Split(tokens, "<s <s"), ElementsAre("<s <s"));
  EXPECT_THAT(Split(tokens, ""), ElementsAre());
  EXPECT_THAT(Split({}, "a"), ElementsAre("a"));
}

TEST(AddedTokens, TakesTheLeftmostThenTheLongest) {
  const std::vector<AddedToken> tokens = {
      {.id = 1, .text = "ab"}, {.id = 2, .text = "abc"}, {.id = 3, .text = "bcd"}};
  EXPECT_THAT(Split(tokens, "abcd"), ElementsAre("2[abc]", "d"));
  EXPECT_THAT(Split(tokens, "abxbcd"), ElementsAre("1[ab]", "x", "3[bcd]"));
}

TEST(AddedTokens, SingleWordNeedsNoWordCharacterBeside) {
  const std::vector<AddedToken> tokens = {{.id = 1, .text = "no", .single_word = true}};
  EXPECT_THAT(Split(tokens, "no know no. nope \u00E9no no_"),
              ElementsAre("1[no]", " know ", "1[no]", ". nope \u00E9no no_"));
  EXPECT_THAT(Split(tokens, "no\u0301"), ElementsAre("no\u0301"));
  EXPECT_THAT(Split(tokens, "(no)"), ElementsAre("(", "1[no]", ")"));
}

TEST(AddedTokens, StripsTakeWhiteSpaceAlong) {
  const std::vector<AddedToken> tokens = {{.id = 1, .text = "<l>", .lstrip = true},
                                          {.id = 2, .text = "<r>", .rstrip = true}};
  EXPECT_THAT(Split(tokens, "a \u3000\n<l> b"), ElementsAre("a", "1[ \u3000\n<l>]", " b"));
  EXPECT_THAT(Split(tokens, "a <r>\t b"), ElementsAre("a ", "2[<r>\t ]", "b"));
  EXPECT_THAT(Split(tokens, "<r>  <l>"), ElementsAre("2[<r>  ]", "1[<l>]"));
}

TEST(AddedTokens, SpecialTokensCanStayText) {
  const std::vector<AddedToken> tokens = {{.id = 1, .text = "<eos>", .special = true},
                                          {.id = 2, .text = "<tool>"}};
  EXPECT_THAT(Split(tokens, "a<eos>b<tool>"), ElementsAre("a", "1[<eos>]", "b", "2[<tool>]"));
  EXPECT_THAT(Split(tokens, "a<eos>b<tool>", kAsText), ElementsAre("a<eos>b", "2[<tool>]"));
}

}  // namespace
}  // namespace spearfish
