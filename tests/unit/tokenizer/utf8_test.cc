#include "common/tokenizer/utf8.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace spearfish {
namespace {

std::string Lossy(absl::string_view bytes) {
  std::string out;
  if (AppendLossyUtf8(bytes, out) < bytes.size()) out += "<unfinished>";
  return out;
}

TEST(Utf8, KeepsValidText) {
  const std::string text =
      "a\xC2\x80\xDF\xBF\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xF0\x90\x80\x80"
      "\xF4\x8F\xBF\xBF";
  EXPECT_EQ(Lossy(text), text);
  EXPECT_EQ(ValidUtf8Prefix(text), text.size());
}

// Expected strings are what Python's bytes.decode("utf-8", "replace") gives.
TEST(Utf8, ReplacesEachMaximalInvalidSubpartOnce) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"\x80", "\xEF\xBF\xBD"},
      {"a\xFF"
       "b",
       "a\xEF\xBF\xBD"
       "b"},
      {"\xC0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD"},                                  // overlong
      {"\xE0\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},                  // overlong
      {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},                  // surrogate
      {"\xF4\x90\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},  // > U+10FFFF
      {"\xE2\x82"
       "A",
       "\xEF\xBF\xBD"
       "A"},
      {"\xF0\x9F\x98"
       "A",
       "\xEF\xBF\xBD"
       "A"},
      {"\xF0\x9F\xF0\x9F\x98\x80", "\xEF\xBF\xBD\xF0\x9F\x98\x80"},
  };
  for (const auto& [bytes, expected] : cases) EXPECT_EQ(Lossy(bytes), expected);
}

TEST(Utf8, LeavesAnUnfinishedCharacterAtTheEnd) {
  for (const absl::string_view bytes :
       {"\xC3", "\xE2", "\xE2\x82", "\xF0", "\xF0\x9F", "\xF0\x9F\x98"}) {
    std::string out;
    EXPECT_EQ(AppendLossyUtf8(bytes, out), 0u);
    EXPECT_EQ(out, "");
    EXPECT_EQ(NextUtf8(bytes).kind, Utf8Kind::kUnfinished);
    EXPECT_EQ(NextUtf8(bytes).size, bytes.size());
  }
}

TEST(Utf8, FindsTheFirstInvalidByte) {
  EXPECT_EQ(ValidUtf8Prefix("ab\xC3\xA9\xFFz"), 4u);
  EXPECT_EQ(ValidUtf8Prefix("ab\xC3"), 2u);
  EXPECT_EQ(ValidUtf8Prefix(""), 0u);
}

}  // namespace
}  // namespace spearfish
