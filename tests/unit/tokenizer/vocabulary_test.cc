#include "common/tokenizer/vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace spearfish {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(Vocabulary, FindsTokensByIdAndText) {
  const auto vocabulary =
      Vocabulary::Create({{"a", 0}, {"\u0120the", 5}}, {{.id = 7, .text = "<s>", .special = true}});
  ASSERT_TRUE(vocabulary.ok());
  EXPECT_EQ(vocabulary->Bytes(5), " the");
  EXPECT_EQ(vocabulary->Bytes(7), "<s>");
  EXPECT_EQ(vocabulary->Bytes(6), std::nullopt);
  EXPECT_EQ(vocabulary->Bytes(8), std::nullopt);
  EXPECT_EQ(vocabulary->FindModelToken("\u0120the"), 5u);
  EXPECT_EQ(vocabulary->FindModelToken("<s>"), std::nullopt);
  EXPECT_EQ(vocabulary->FindAddedToken("<s>"), 7u);
  EXPECT_TRUE(vocabulary->IsSpecial(7));
  EXPECT_FALSE(vocabulary->IsSpecial(5));
  EXPECT_FALSE(vocabulary->IsSpecial(70));
  EXPECT_EQ(vocabulary->size(), 8u);
}

TEST(Vocabulary, TokensOutsideTheAlphabetStandForThemselves) {
  const auto vocabulary =
      Vocabulary::Create({{"\uFF5Cbegin\u2581\uFF5C", 0}}, {{.id = 1, .text = "\u00E9 \u0120"}});
  ASSERT_TRUE(vocabulary.ok());
  EXPECT_EQ(vocabulary->Bytes(0), "\uFF5Cbegin\u2581\uFF5C");
  EXPECT_EQ(vocabulary->Bytes(1), "\u00E9 \u0120");
}

TEST(Vocabulary, AddedTokenMayRepeatAModelToken) {
  const auto vocabulary =
      Vocabulary::Create({{"a", 0}, {"<s>", 1}}, {{.id = 1, .text = "<s>", .special = true}});
  ASSERT_TRUE(vocabulary.ok());
  EXPECT_TRUE(vocabulary->IsSpecial(1));
  EXPECT_EQ(vocabulary->size(), 2u);
}

TEST(Vocabulary, NamesAnIdGivenTwice) {
  const absl::Status model = Vocabulary::Create({{"a", 3}, {"b", 3}}, {}).status();
  EXPECT_EQ(model.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(model.message(), AllOf(HasSubstr("given twice: 3"), HasSubstr("\"a\" and \"b\"")));
  EXPECT_THAT(Vocabulary::Create({{"a", 3}}, {{.id = 3, .text = "<s>"}}).status().message(),
              HasSubstr("given twice: 3"));
  EXPECT_THAT(Vocabulary::Create({}, {{.id = 3, .text = "<s>"}, {.id = 3, .text = "<t>"}})
                  .status()
                  .message(),
              HasSubstr("given twice: 3"));
}

TEST(Vocabulary, NamesATextGivenTwice) {
  EXPECT_THAT(Vocabulary::Create({{"a", 0}, {"a", 1}}, {}).status().message(), HasSubstr("\"a\""));
  EXPECT_THAT(Vocabulary::Create({{"a", 0}}, {{.id = 1, .text = "a"}}).status().message(),
              HasSubstr("another id"));
  EXPECT_THAT(
      Vocabulary::Create({}, {{.id = 1, .text = "a"}, {.id = 2, .text = "a"}}).status().message(),
      HasSubstr("given twice: \"a\""));
}

TEST(Vocabulary, RefusesEmptyAddedTokensAndHugeIds) {
  EXPECT_THAT(Vocabulary::Create({}, {{.id = 1, .text = ""}}).status().message(),
              HasSubstr("no text: id 1"));
  EXPECT_THAT(Vocabulary::Create({{"a", 4'000'000'000}}, {}).status().message(),
              HasSubstr("too large: \"a\" is 4000000000"));
}

}  // namespace
}  // namespace spearfish
