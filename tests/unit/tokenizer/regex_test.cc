#include "common/tokenizer/regex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/base/check.h"

namespace spearfish {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> Matches(absl::string_view pattern, absl::string_view text) {
  const absl::StatusOr<Regex> regex = Regex::Create(PatternKind::kRegex, pattern);
  SF_CHECK_OK(regex.status());
  std::vector<std::string> matches;
  SF_CHECK_OK(regex->ForEachMatch(text, [&](const ByteRange& match) {
    matches.emplace_back(text.substr(match.begin, match.end - match.begin));
    return absl::OkStatus();
  }));
  return matches;
}

TEST(Regex, ClassesAreUnicode) {
  EXPECT_THAT(Matches("\\p{L}+", "abc \u00E9t\u00E9 \u4E2D\u6587 1"),
              ElementsAre("abc", "\u00E9t\u00E9", "\u4E2D\u6587"));
  EXPECT_THAT(Matches("\\p{N}", "1\u0662\u00BD"), ElementsAre("1", "\u0662", "\u00BD"));
  EXPECT_THAT(Matches("(?i:'s|'re)", "'S 'Re '\u017F"), ElementsAre("'S", "'Re", "'\u017F"));
}

TEST(Regex, WhiteSpaceIsUnicodes) {
  EXPECT_THAT(Matches("\\s+", "a\u00A0\u3000\u2028\u0085z\u180Ez\u200Bz"),
              ElementsAre("\u00A0\u3000\u2028\u0085"));
  EXPECT_THAT(Matches("[^\\s]+", "a \u180E"), ElementsAre("a", "\u180E"));
  EXPECT_THAT(Matches("\\\\s", "\\s a"), ElementsAre("\\s"));
}

TEST(Regex, AnchorsAreAtLineEnds) {
  EXPECT_THAT(Matches("^.", "ab\ncd"), ElementsAre("a", "c"));
  EXPECT_THAT(Matches(".$", "ab\ncd"), ElementsAre("b", "d"));
}

TEST(Regex, NamesTheErrorOfABrokenPattern) {
  const absl::Status status = Regex::Create(PatternKind::kRegex, "a(b").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("missing closing parenthesis"));
  EXPECT_THAT(status.message(), HasSubstr("\"a(b\""));
}

TEST(Regex, BoundsPatterns) {
  EXPECT_FALSE(Regex::Create(PatternKind::kRegex, std::string(100'000, 'a')).ok());
  EXPECT_FALSE(
      Regex::Create(PatternKind::kRegex, std::string(5000, '(') + std::string(5000, ')')).ok());
  EXPECT_FALSE(Regex::Create(PatternKind::kRegex, "((a{1000}){1000}){1000}").ok());
}

TEST(Regex, RefusesSyntaxWithAnotherMeaning) {
  for (const char* pattern :
       {"\\w+", "a\\b", "\\h", "[a[bc]]", "[a&&b]", "(?m:.)", "(?im:.)", "a(?i)b", "(?1)", "(?",
        "[[:alpha:]]", "(*UTF)a", "\\R", "\\C", "a\\Kb", "\\Qa\\E"}) {
    const absl::Status status = Regex::Create(PatternKind::kRegex, pattern).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented) << pattern;
  }
}

TEST(Regex, ReadsBracketsInsideClasses) {
  EXPECT_THAT(Matches("[]a]", "]b"), ElementsAre("]"));
  EXPECT_THAT(Matches("[^]a]", "]b"), ElementsAre("b"));
  EXPECT_THAT(Matches("[\\]\\[]", "a[]"), ElementsAre("[", "]"));
}

TEST(Regex, ScriptNamesAreTheScriptProperty) {
  // The full stop and the prolonged sound mark are used with Han and Katakana, but of no script.
  EXPECT_THAT(Matches("\\p{Han}+", "\u4E2D\u3005\u3002"), ElementsAre("\u4E2D\u3005"));
  EXPECT_THAT(Matches("[\\p{Katakana}]+", "\u30C6\u30FC"), ElementsAre("\u30C6"));
  EXPECT_THAT(Matches("\\p{^Han}", "\u4E2D\u3002"), ElementsAre("\u3002"));
}

TEST(Regex, ReadsGroups) {
  EXPECT_THAT(Matches("(?i)a|B", "Ab"), ElementsAre("A", "b"));
  EXPECT_THAT(Matches("(?<=a)(?:b)(?!c)", "abcab"), ElementsAre("b"));
  EXPECT_THAT(Matches("(?>a+)(?i-x: B)", "aa b"), ElementsAre("aa b"));
}

TEST(Regex, GivesUpOnCatastrophicBacktracking) {
  const absl::StatusOr<Regex> regex = Regex::Create(PatternKind::kRegex, "(a|aa)+$");
  ASSERT_TRUE(regex.ok());
  const absl::Status status = regex->ForEachMatch(
      std::string(200, 'a') + "b", [](const ByteRange&) { return absl::OkStatus(); });
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("regex gave up"));
}

// Needs far more stack than the JIT has; the interpreter takes over.
TEST(Regex, MatchesBeyondTheStackOfTheJit) {
  const std::string text(100'000, 'a');
  EXPECT_THAT(Matches("(?:a|b(?=c))*", text), ElementsAre(text));
}

}  // namespace
}  // namespace spearfish
