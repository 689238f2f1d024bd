#include "common/rpc/token_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace spearfish {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Optional;

constexpr char kFirst[] = "0123456789abcdef";
constexpr char kSecond[] = "fedcba9876543210";

TokenTable Parsed(const std::string& text) {
  absl::StatusOr<TokenTable> table = TokenTable::Parse(text);
  EXPECT_TRUE(table.ok()) << table.status();
  return *std::move(table);
}

TEST(TokenTable, FindsNamesOfTokens) {
  const TokenTable table = Parsed(absl::StrCat("# comment\n\n  ", "team-a ", kFirst,
                                               "\r\nops@b/c\t", kSecond, "  # another\n"));
  EXPECT_EQ(table.size(), 2u);
  EXPECT_THAT(table.NameOf(kFirst), Optional(std::string("team-a")));
  EXPECT_THAT(table.NameOf(kSecond), Optional(std::string("ops@b/c")));
}

TEST(TokenTable, KnowsNoOtherToken) {
  const TokenTable table = Parsed(absl::StrCat("a ", kFirst));
  for (const char* other : {"", "a", kSecond, "0123456789abcde", "0123456789abcdeF",
                            "0123456789abcdef ", " 0123456789abcdef", "#"}) {
    EXPECT_EQ(table.NameOf(other), std::nullopt) << other;
  }
}

TEST(TokenTable, NamesATokenWithoutANameByItsDigest) {
  const TokenTable table = Parsed(kFirst);
  const std::string name = table.NameOf(kFirst).value_or("");
  EXPECT_TRUE(absl::StartsWith(name, "unnamed-")) << name;
  EXPECT_EQ(name.size(), std::string("unnamed-").size() + 8);
  EXPECT_EQ(Parsed(absl::StrCat("# moved\n", kSecond, "\n", kFirst)).NameOf(kFirst), name);
}

TEST(TokenTable, LetsAHashBePartOfAToken) {
  const TokenTable table = Parsed("a 0123#567#9abcdef#  #b");
  EXPECT_THAT(table.NameOf("0123#567#9abcdef#"), Optional(std::string("a")));
}

TEST(TokenTable, LetsOneNameHaveTwoTokens) {
  const TokenTable table = Parsed(absl::StrCat("a ", kFirst, "\na ", kSecond));
  EXPECT_EQ(table.NameOf(kFirst), table.NameOf(kSecond));
}

TEST(TokenTable, RefusesBadLinesByTheirNumberAndNeverQuotesThem) {
  const std::string secret = "s3cret-s3cret-s3cret";
  const std::string long_token(TokenTable::kMaxTokenChars + 1, 's');
  const std::string long_name(TokenTable::kMaxNameChars + 1, 's');
  for (const std::string& line :
       {absl::StrCat("a b ", secret), std::string("s3cret"), absl::StrCat("a:b ", secret),
        absl::StrCat(long_name, " ", secret), long_token, absl::StrCat("a ", secret, "\x01"),
        absl::StrCat("a ", secret, "\xc3\xa4"), absl::StrCat("a ", secret, "\na ", secret)}) {
    const absl::Status status = TokenTable::Parse(absl::StrCat("# first\n", line)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("line "));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("s3cret")));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("ssss")));
  }
}

TEST(TokenTable, RefusesAFileWithoutATokenAndOneWithTooMany) {
  EXPECT_FALSE(TokenTable::Parse("").ok());
  EXPECT_FALSE(TokenTable::Parse("# a 0123456789abcdef\n\n").ok());
  std::string many;
  for (size_t i = 0; i <= TokenTable::kMaxTokens; ++i) absl::StrAppend(&many, kFirst, i, "\n");
  EXPECT_THAT(std::string(TokenTable::Parse(many).status().message()), HasSubstr("more than"));
}

TEST(TokenTable, GivesTheFirstTokenToSend) {
  EXPECT_EQ(*TokenTable::FirstToken(absl::StrCat("# c\na ", kFirst, "\n", kSecond)), kFirst);
  EXPECT_EQ(*TokenTable::FirstToken(kSecond), kSecond);
  EXPECT_FALSE(TokenTable::FirstToken("\n").ok());
}

}  // namespace
}  // namespace spearfish
