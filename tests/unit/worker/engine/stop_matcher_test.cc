#include "worker/engine/stop_matcher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace spearfish::worker {
namespace {

struct Found {
  size_t string = 0;
  size_t end = 0;  // in the whole text
};

std::optional<Found> Feed(StopMatcher& matcher, const std::vector<std::string>& pieces) {
  size_t before = 0;
  for (const std::string& piece : pieces) {
    const auto match = matcher.Append(piece, StopMode::kStop);
    if (match) return Found{match->string, before + match->end};
    before += piece.size();
  }
  return std::nullopt;
}

TEST(StopMatcherTest, FindsAStringWithinOnePiece) {
  const StopStrings strings({"stop"});
  StopMatcher matcher(strings);
  const auto match = matcher.Append("don't stop now", StopMode::kStop);
  ASSERT_TRUE(match.has_value());
  EXPECT_EQ(match->string, 0u);
  EXPECT_EQ(match->end, 10u);
}

TEST(StopMatcherTest, FindsAStringAcrossPieces) {
  const StopStrings strings({"stop"});
  StopMatcher matcher(strings);
  const auto found = Feed(matcher, {"a s", "", "t", "op."});
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->end, 6u);
}

TEST(StopMatcherTest, FallsBackToTheRightPrefix) {
  const StopStrings strings({"aab"});
  StopMatcher matcher(strings);
  const auto found = Feed(matcher, {"a", "a", "a", "b"});
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->end, 4u);
}

TEST(StopMatcherTest, TakesTheFirstEndAndOfThoseTheLongest) {
  const StopStrings strings({"cd", "abcd", "abcde"});
  StopMatcher matcher(strings);
  const auto found = Feed(matcher, {"xabcde"});
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->string, 1u);
  EXPECT_EQ(found->end, 5u);
}

TEST(StopMatcherTest, HoldsBackTheLongestPossiblePrefix) {
  const StopStrings strings({"\n\nUser:", "\n\n\n"});
  StopMatcher matcher(strings);
  EXPECT_EQ(matcher.num_held_bytes(), 0u);
  matcher.Append("hello", StopMode::kStop);
  EXPECT_EQ(matcher.num_held_bytes(), 0u);
  matcher.Append("\n\nUse", StopMode::kStop);
  EXPECT_EQ(matcher.num_held_bytes(), 5u);
  matcher.Append("d", StopMode::kStop);
  EXPECT_EQ(matcher.num_held_bytes(), 0u);
}

TEST(StopMatcherTest, IgnoredMatchesGoOnToTheNext) {
  const StopStrings strings({"abab"});
  StopMatcher matcher(strings);
  EXPECT_FALSE(matcher.Append("abab", StopMode::kIgnore).has_value());
  EXPECT_EQ(matcher.num_held_bytes(), 2u);
  const auto match = matcher.Append("ab", StopMode::kStop);
  ASSERT_TRUE(match.has_value());
  EXPECT_EQ(match->end, 2u);
}

TEST(StopMatcherTest, WithoutStringsNothingIsHeld) {
  const StopStrings strings({});
  StopMatcher matcher(strings);
  EXPECT_FALSE(matcher.Append("anything", StopMode::kStop).has_value());
  EXPECT_EQ(matcher.num_held_bytes(), 0u);
}

// Every position of the text, every string: the definition.
std::optional<Found> Naive(const std::vector<std::string>& strings, const std::string& text) {
  for (size_t end = 1; end <= text.size(); ++end) {
    std::optional<Found> best;
    for (size_t i = 0; i < strings.size(); ++i) {
      const size_t length = strings[i].size();
      if (length > end || text.compare(end - length, length, strings[i]) != 0) continue;
      if (!best || strings[best->string].size() < length) best = Found{i, end};
    }
    if (best) return best;
  }
  return std::nullopt;
}

size_t NaiveHeld(const std::vector<std::string>& strings, const std::string& text) {
  size_t held = 0;
  for (const std::string& string : strings) {
    for (size_t length = 1; length < string.size() && length <= text.size(); ++length) {
      if (text.compare(text.size() - length, length, string, 0, length) == 0) {
        held = std::max(held, length);
      }
    }
  }
  return held;
}

TEST(StopMatcherTest, AgreesWithTheDefinitionOnRandomTextsAndCuts) {
  std::mt19937 random(7);
  const auto letters = [&](size_t length) {
    std::string text;
    while (text.size() < length) text += static_cast<char>('a' + random() % 2);
    return text;
  };
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> list(1 + random() % 3);
    for (std::string& string : list) string = letters(1 + random() % 7);
    const std::string text = letters(random() % 40);
    std::vector<std::string> pieces;
    for (size_t at = 0; at < text.size();) {
      pieces.push_back(text.substr(at, 1 + random() % 4));
      at += pieces.back().size();
    }
    const StopStrings strings(list);
    StopMatcher matcher(strings);
    const auto found = Feed(matcher, pieces);
    const auto expected = Naive(list, text);
    ASSERT_EQ(found.has_value(), expected.has_value()) << text;
    if (found) {
      EXPECT_EQ(found->end, expected->end) << text;
      EXPECT_EQ(list[found->string], list[expected->string]) << text;
    } else {
      EXPECT_EQ(matcher.num_held_bytes(), NaiveHeld(list, text)) << text;
    }
  }
}

// 64 strings of 1,024 bytes that nearly match everywhere: quadratic work would show.
TEST(StopMatcherTest, StaysLinearOnTheLongestStrings) {
  std::vector<std::string> list(64, std::string(1023, 'a'));
  for (size_t i = 0; i < list.size(); ++i) list[i] += static_cast<char>('A' + i % 26);
  const StopStrings strings(list);
  StopMatcher matcher(strings);
  for (int i = 0; i < 20000; ++i) ASSERT_FALSE(matcher.Append("a", StopMode::kStop).has_value());
  EXPECT_EQ(matcher.num_held_bytes(), 1023u);
  EXPECT_TRUE(matcher.Append("B", StopMode::kStop).has_value());
}

}  // namespace
}  // namespace spearfish::worker
