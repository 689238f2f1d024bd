#include "worker/engine/text_stream.h"

#include <gtest/gtest.h>

#include "tests/unit/worker/engine/fake_tokenizer.h"

namespace spearfish::worker {
namespace {

class TextStreamTest : public ::testing::Test {
 protected:
  // "é" is C3 A9, "è" C3 A8, the rocket F0 9F 9A 80.
  enum Token : TokenId { kSt, kOp, kA, kC3, kA9, kA8, kF09F, k9A80, kSpecial, kStopNow };
  const FakeTokenizer tokenizer_{
      {"st", "op", "a", "\xC3", "\xA9", "\xA8", "\xF0\x9F", "\x9A\x80", "<special>", "a stop now"}};
  std::string text_;
};

TEST_F(TextStreamTest, GivesTextAtOnceWithoutStopStrings) {
  const StopStrings none({});
  TextStream stream(tokenizer_, none, StopStringOutput::kDrop);
  EXPECT_FALSE(stream.Append(kSt, StopMode::kStop, text_).has_value());
  EXPECT_EQ(text_, "st");
}

TEST_F(TextStreamTest, SkipsSpecialTokens) {
  const StopStrings none({});
  TextStream stream(tokenizer_, none, StopStringOutput::kDrop);
  stream.Append(kSpecial, StopMode::kStop, text_);
  EXPECT_EQ(text_, "");
}

TEST_F(TextStreamTest, EndsBeforeTheStopString) {
  const StopStrings strings({"stop"});
  TextStream stream(tokenizer_, strings, StopStringOutput::kDrop);
  stream.Append(kA, StopMode::kStop, text_);
  EXPECT_EQ(text_, "a");
  EXPECT_FALSE(stream.Append(kSt, StopMode::kStop, text_).has_value());
  EXPECT_EQ(text_, "a") << "held back";
  EXPECT_TRUE(stream.Append(kOp, StopMode::kStop, text_).has_value());
  EXPECT_EQ(text_, "a");
}

TEST_F(TextStreamTest, EndsAfterTheStopStringWhenIncluded) {
  const StopStrings strings({"stop"});
  TextStream stream(tokenizer_, strings, StopStringOutput::kInclude);
  EXPECT_TRUE(stream.Append(kStopNow, StopMode::kStop, text_).has_value());
  EXPECT_EQ(text_, "a stop");
}

TEST_F(TextStreamTest, DropsWhatFollowsInTheSameToken) {
  const StopStrings strings({"stop"});
  TextStream stream(tokenizer_, strings, StopStringOutput::kDrop);
  EXPECT_TRUE(stream.Append(kStopNow, StopMode::kStop, text_).has_value());
  EXPECT_EQ(text_, "a ");
}

TEST_F(TextStreamTest, GivesHeldTextWhenTheStopStringDoesNotCome) {
  const StopStrings strings({"stop"});
  TextStream stream(tokenizer_, strings, StopStringOutput::kDrop);
  stream.Append(kSt, StopMode::kStop, text_);
  stream.Append(kA, StopMode::kStop, text_);
  EXPECT_EQ(text_, "sta");
}

TEST_F(TextStreamTest, FlushGivesWhatIsHeld) {
  const StopStrings strings({"stop"});
  TextStream stream(tokenizer_, strings, StopStringOutput::kDrop);
  stream.Append(kSt, StopMode::kStop, text_);
  stream.Append(kC3, StopMode::kStop, text_);
  stream.Flush(text_);
  EXPECT_EQ(text_, "st\xEF\xBF\xBD") << "half a character becomes U+FFFD";
}

TEST_F(TextStreamTest, MatchesAMultiByteStopStringSplitWithinItsCharacters) {
  const StopStrings strings({"\xC3\xA9\xF0\x9F\x9A\x80"});
  TextStream stream(tokenizer_, strings, StopStringOutput::kDrop);
  for (const TokenId id : {kA, kC3, kA9, kF09F}) {
    EXPECT_FALSE(stream.Append(id, StopMode::kStop, text_).has_value());
  }
  EXPECT_EQ(text_, "a");
  EXPECT_TRUE(stream.Append(k9A80, StopMode::kStop, text_).has_value());
  EXPECT_EQ(text_, "a");
}

TEST_F(TextStreamTest, NeverSplitsACharacterThatSharesItsFirstByteWithAStopString) {
  const StopStrings strings({"\xC3\xA9!"});
  TextStream stream(tokenizer_, strings, StopStringOutput::kDrop);
  stream.Append(kC3, StopMode::kStop, text_);
  EXPECT_EQ(text_, "");
  stream.Append(kA8, StopMode::kStop, text_);
  EXPECT_EQ(text_, "\xC3\xA8");
}

TEST_F(TextStreamTest, IgnoresStopStringsWhenAsked) {
  const StopStrings strings({"stop"});
  TextStream stream(tokenizer_, strings, StopStringOutput::kDrop);
  stream.Append(kSt, StopMode::kIgnore, text_);
  EXPECT_FALSE(stream.Append(kOp, StopMode::kIgnore, text_).has_value());
  EXPECT_EQ(text_, "stop");
}

}  // namespace
}  // namespace spearfish::worker
