#include "common/tokenizer/normalizer.h"

#include <gtest/gtest.h>

#include "common/tokenizer/utf8.h"
#include "tests/unit/tokenizer/random_text.h"

namespace spearfish {
namespace {

TEST(NormalizeNfc, Composes) {
  EXPECT_EQ(NormalizeNfc("cafe\u0301"), "caf\u00E9");
  EXPECT_EQ(NormalizeNfc("\u1100\u1161\u11A8"), "\uAC01");
  EXPECT_EQ(NormalizeNfc("\uAC00\u11A8"), "\uAC01");
  EXPECT_EQ(NormalizeNfc("\u212B\u2126"), "\u00C5\u03A9");
}

TEST(NormalizeNfc, ReordersMarks) {
  // The dot below (class 220) goes before the dot above (class 230), and composes first.
  EXPECT_EQ(NormalizeNfc("s\u0307\u0323"), "\u1E69");
  EXPECT_EQ(NormalizeNfc("q\u0307\u0323"), "q\u0323\u0307");
}

TEST(NormalizeNfc, DecomposesWhatCompositionExcludes) {
  EXPECT_EQ(NormalizeNfc("\u0958"), "\u0915\u093C");
  EXPECT_EQ(NormalizeNfc("\U0001D160"), "\U0001D158\U0001D165\U0001D16E");
}

TEST(NormalizeNfc, KeepsCompatibilityCharactersAndControls) {
  std::string text = "\uFB01 \u00BD";
  text.push_back('\0');
  text += "\t\r\n\u00AD\uFDFA";
  EXPECT_EQ(NormalizeNfc(text), text);
  EXPECT_EQ(NormalizeNfc(""), "");
}

TEST(NormalizeNfc, IsIdempotentOnRandomText) {
  RandomText random(11);
  for (int i = 0; i < 2000; ++i) {
    const std::string once = NormalizeNfc(random.Next(24));
    EXPECT_EQ(ValidUtf8Prefix(once), once.size());
    EXPECT_EQ(NormalizeNfc(once), once);
  }
}

// Sorting by swaps of neighbours would take 10^11 of them, and the test its time limit.
TEST(NormalizeNfc, SortsAHostileRunOfMarks) {
  constexpr int kNumMarks = 300'000;
  std::string text = "a";
  for (int i = 0; i < kNumMarks; ++i) text += "\u0307";
  for (int i = 0; i < kNumMarks; ++i) text += "\u0323";
  const std::string normal = NormalizeNfc(text);
  EXPECT_EQ(normal.substr(0, 3), "\u1EA1");
  EXPECT_EQ(normal.size(), 3 + 2 * (kNumMarks - 1) + 2 * kNumMarks);
  EXPECT_EQ(normal.substr(normal.size() - 2), "\u0307");
}

}  // namespace
}  // namespace spearfish
