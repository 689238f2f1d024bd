#include "common/tokenizer/pre_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/base/check.h"

namespace spearfish {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Words(const PreTokenizerSpec& spec, absl::string_view text) {
  const absl::StatusOr<PreTokenizer> pre_tokenizer = PreTokenizer::Create(spec);
  SF_CHECK_OK(pre_tokenizer.status());
  std::vector<std::string> words;
  SF_CHECK_OK(pre_tokenizer->Split(text, [&](absl::string_view word) {
    words.emplace_back(word);
    return absl::OkStatus();
  }));
  return words;
}

TEST(PreTokenizer, SplitsLikeGpt2) {
  const PreTokenizerSpec gpt2{.splits = {}, .use_word_regex = true};
  EXPECT_THAT(Words(gpt2, "Hey, it's  3 o'clock!\n"),
              ElementsAre("Hey", ",", " it", "'s", " ", " 3", " o", "'", "clock", "!", "\n"));
}

TEST(PreTokenizer, PrefixesOneSpace) {
  const PreTokenizerSpec prefixed{.splits = {}, .add_prefix_space = true, .use_word_regex = true};
  EXPECT_THAT(Words(prefixed, "a b"), ElementsAre(" a", " b"));
  EXPECT_THAT(Words(prefixed, " a"), ElementsAre(" a"));
  EXPECT_THAT(Words(prefixed, ""), IsEmpty());
}

TEST(PreTokenizer, PrefixesEachPieceOfASplit) {
  const PreTokenizerSpec spec{.splits = {{.pattern = "-", .behavior = SplitBehavior::kRemoved}},
                              .add_prefix_space = true};
  EXPECT_THAT(Words(spec, "a-b- c"), ElementsAre(" a", " b", " c"));
}

TEST(PreTokenizer, RunsSplitsInOrder) {
  const PreTokenizerSpec spec{.splits = {{.pattern = "\\p{N}{1,3}"}, {.pattern = "[a-z]"}}};
  EXPECT_THAT(Words(spec, "12345ab!!"), ElementsAre("123", "45", "a", "b", "!!"));
}

TEST(PreTokenizer, NothingToDoIsOneWord) {
  EXPECT_THAT(Words({}, "a b\nc"), ElementsAre("a b\nc"));
}

}  // namespace
}  // namespace spearfish
