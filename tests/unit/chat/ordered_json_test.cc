#include "common/chat/ordered_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace spearfish {
namespace {

using testing::HasSubstr;

std::string ErrorOf(absl::string_view text) {
  return std::string(OrderedJsonParser().Parse(text).status().message());
}

// An object of `members` members: members * (members + 1) / 2 lookups.
std::string Wide(int members) {
  std::string text = "{";
  for (int i = 0; i < members; ++i) absl::StrAppend(&text, i == 0 ? "\"" : ",\"", i, "\":{}");
  return text + "}";
}

TEST(OrderedJsonParser, KeepsTheOrderOfMembers) {
  const auto json = OrderedJsonParser().Parse(R"({"z": 1, "a": [true, "\u00e9:{"]})");
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_EQ(json->dump(), R"({"z":1,"a":[true,"é:{"]})");
}

TEST(OrderedJsonParser, SaysWhatIsWrong) {
  EXPECT_THAT(ErrorOf("{"), HasSubstr("not JSON in UTF-8: malformed at byte 2"));
  EXPECT_THAT(ErrorOf("\"\xff\""), HasSubstr("malformed at byte"));
  EXPECT_THAT(ErrorOf("1e999"), HasSubstr("no double"));
  EXPECT_THAT(ErrorOf(""), HasSubstr("malformed"));
  EXPECT_THAT(ErrorOf("\"\\"), HasSubstr("malformed"));
}

TEST(OrderedJsonParser, RefusesIntegersThatWouldBecomeOthers) {
  for (const char* text :
       {"18446744073709551615", "-9223372036854775808", "[1e30]", "0.1234567890123456789"}) {
    EXPECT_TRUE(OrderedJsonParser().Parse(text).ok()) << text;
  }
  for (const char* text : {"18446744073709551616", "{\"a\":-9223372036854775809}"}) {
    EXPECT_THAT(ErrorOf(text), HasSubstr("beyond 64 bits")) << text;
  }
  EXPECT_TRUE(OrderedJsonParser().Parse("\"18446744073709551616\"").ok());
  OrderedJsonParser rounding(OrderedJsonParser::LargeIntegers::kRounded);
  EXPECT_TRUE(rounding.Parse("18446744073709551616").ok());
}

TEST(OrderedJsonParser, LongKeysCostMore) {
  std::string text = "{";
  for (int i = 0; i < 1000; ++i) {
    absl::StrAppend(&text, i == 0 ? "\"" : ",\"", std::string(5000, 'k'), i, "\":0");
  }
  EXPECT_THAT(ErrorOf(text + "}"), HasSubstr("too many members"));
}

TEST(OrderedJsonParser, BoundsDepth) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(OrderedJsonParser().Parse(nested(OrderedJsonParser::kMostDepth)).ok());
  EXPECT_THAT(ErrorOf(nested(OrderedJsonParser::kMostDepth + 1)), HasSubstr("too deeply"));
  EXPECT_THAT(ErrorOf(std::string(5'000'000, '[')), HasSubstr("too deeply"));
}

TEST(OrderedJsonParser, BoundsTheMembersOfAllTextsTogether) {
  EXPECT_TRUE(OrderedJsonParser().Parse(Wide(6000)).ok());
  EXPECT_THAT(ErrorOf(Wide(7000)), HasSubstr("too many members"));
  OrderedJsonParser parser;
  EXPECT_TRUE(parser.Parse(Wide(5000)).ok());
  EXPECT_TRUE(parser.Parse(Wide(1000)).ok());
  EXPECT_FALSE(parser.Parse(Wide(5000)).ok());
  EXPECT_TRUE(parser.Parse(Wide(100)).ok());  // what is refused costs nothing
}

}  // namespace
}  // namespace spearfish
