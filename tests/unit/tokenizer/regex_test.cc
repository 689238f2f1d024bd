#include "common/tokenizer/regex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/base/check.h"
#include "common/tokenizer/regex_syntax.h"

namespace spearfish {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> Matches(absl::string_view pattern, absl::string_view text) {
  const absl::StatusOr<Regex> regex = Regex::Create(PatternKind::kRegex, pattern);
  SF_CHECK_OK(regex.status());
  const absl::StatusOr<std::vector<ByteRange>> ranges = regex->FindAll(text);
  SF_CHECK_OK(ranges.status());
  std::vector<std::string> matches;
  for (const ByteRange& range : *ranges) {
    matches.emplace_back(text.substr(range.begin, range.end - range.begin));
  }
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
  for (const char* pattern : {"\\w+", "a\\b", "\\h", "[a[bc]]", "[a&&b]", "(?m:.)", "(*UTF)a",
                              "\\R", "\\C", "a\\Kb", "\\Qa\\E"}) {
    const absl::Status status = Regex::Create(PatternKind::kRegex, pattern).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented) << pattern;
  }
}

TEST(Regex, KeepsBracketsAndPosixClasses) {
  EXPECT_THAT(Matches("[]a]", "]b"), ElementsAre("]"));
  EXPECT_THAT(Matches("[^]a]", "]b"), ElementsAre("b"));
  EXPECT_THAT(Matches("[[:digit:]x]+", "12x[:"), ElementsAre("12x"));
  EXPECT_THAT(Matches("[\\]\\[]", "a[]"), ElementsAre("[", "]"));
}

TEST(Regex, GivesUpOnCatastrophicBacktracking) {
  const absl::StatusOr<Regex> regex = Regex::Create(PatternKind::kRegex, "(a|aa)+$");
  ASSERT_TRUE(regex.ok());
  const absl::Status status = regex->FindAll(std::string(200, 'a') + "b").status();
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
