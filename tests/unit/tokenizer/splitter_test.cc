#include "common/tokenizer/splitter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/base/check.h"

namespace spearfish {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Split(const SplitSpec& spec, absl::string_view text) {
  const absl::StatusOr<Splitter> splitter = Splitter::Create(spec);
  SF_CHECK_OK(splitter.status());
  std::vector<std::string> pieces;
  SF_CHECK_OK(splitter->Split(text, [&](absl::string_view piece) {
    pieces.emplace_back(piece);
    return absl::OkStatus();
  }));
  return pieces;
}

SplitSpec Dashes(SplitBehavior behavior, bool invert = false) {
  return {.pattern = "-", .behavior = behavior, .invert = invert};
}

constexpr char kText[] = "the-final--countdown-";

TEST(Splitter, Removed) {
  EXPECT_THAT(Split(Dashes(SplitBehavior::kRemoved), kText),
              ElementsAre("the", "final", "countdown"));
}

TEST(Splitter, Isolated) {
  EXPECT_THAT(Split(Dashes(SplitBehavior::kIsolated), kText),
              ElementsAre("the", "-", "final", "-", "-", "countdown", "-"));
}

TEST(Splitter, MergedWithPrevious) {
  EXPECT_THAT(Split(Dashes(SplitBehavior::kMergedWithPrevious), kText),
              ElementsAre("the-", "final-", "-", "countdown-"));
  EXPECT_THAT(Split(Dashes(SplitBehavior::kMergedWithPrevious), "--a"), ElementsAre("-", "-", "a"));
}

TEST(Splitter, MergedWithNext) {
  EXPECT_THAT(Split(Dashes(SplitBehavior::kMergedWithNext), kText),
              ElementsAre("the", "-final", "-", "-countdown", "-"));
}

TEST(Splitter, Contiguous) {
  EXPECT_THAT(Split(Dashes(SplitBehavior::kContiguous), kText),
              ElementsAre("the", "-", "final", "--", "countdown", "-"));
}

TEST(Splitter, InvertMakesTheMatchesThePieces) {
  const SplitSpec removed{.pattern = "[a-z]+", .behavior = SplitBehavior::kRemoved, .invert = true};
  EXPECT_THAT(Split(removed, kText), ElementsAre("the", "final", "countdown"));
  const SplitSpec merged{
      .pattern = "[a-z]+", .behavior = SplitBehavior::kMergedWithPrevious, .invert = true};
  EXPECT_THAT(Split(merged, kText), ElementsAre("the-", "final--", "countdown-"));
}

TEST(Splitter, StringPatternIsLiteral) {
  const SplitSpec dots{
      .kind = PatternKind::kString, .pattern = ".*", .behavior = SplitBehavior::kIsolated};
  EXPECT_THAT(Split(dots, "a.*b..c"), ElementsAre("a", ".*", "b..c"));
}

TEST(Splitter, EmptyMatchesCutButAreNoPieces) {
  EXPECT_THAT(Split({.pattern = "x*"}, "a\u00E9xxb"), ElementsAre("a", "\u00E9", "xx", "b"));
  EXPECT_THAT(Split({.pattern = "(?=b)"}, "abab"), ElementsAre("a", "ba", "b"));
}

TEST(Splitter, EmptyTextHasNoPieces) {
  EXPECT_THAT(Split(Dashes(SplitBehavior::kIsolated), ""), IsEmpty());
  EXPECT_THAT(Split({.pattern = ""}, ""), IsEmpty());
}

TEST(Splitter, StopsAtTheFirstErrorOfTheCallee) {
  const absl::StatusOr<Splitter> splitter = Splitter::Create(Dashes(SplitBehavior::kIsolated));
  ASSERT_TRUE(splitter.ok());
  int calls = 0;
  const absl::Status status = splitter->Split("a-b", [&](absl::string_view) {
    ++calls;
    return absl::CancelledError("enough");
  });
  EXPECT_EQ(status, absl::CancelledError("enough"));
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace spearfish
