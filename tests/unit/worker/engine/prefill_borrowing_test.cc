#include "worker/engine/prefill_borrowing.h"

#include <gtest/gtest.h>

namespace spearfish::worker {
namespace {

constexpr uint32_t kBaseRows = 512;
constexpr uint32_t kMaxRows = 4096;

uint32_t Rows(StepRows base, StepRows borrowed, uint32_t granted_rows = 0) {
  return PrefillBorrowing(kBaseRows, kMaxRows).RowsToBorrow({base, borrowed, granted_rows});
}

TEST(PrefillBorrowingTest, DecodeBorrowsNothing) {
  EXPECT_EQ(Rows({.decode = 64}, {.decode = 64}), 0u);
  EXPECT_EQ(Rows({.decode = 64}, {.decode = 64}, 4096), 0u) << "and gives back";
}

TEST(PrefillBorrowingTest, APromptThatABaseStepHoldsIsNotWorthIt) {
  EXPECT_EQ(Rows({.prefill = 256}, {.prefill = 512}), 0u);
  EXPECT_EQ(Rows({.decode = 60, .prefill = 256}, {.decode = 60, .prefill = 452}), 0u);
}

TEST(PrefillBorrowingTest, BorrowsWhatTheStepNeeds) {
  EXPECT_EQ(Rows({.prefill = 256}, {.prefill = 513}), 513u);
  EXPECT_EQ(Rows({.decode = 60, .prefill = 256}, {.decode = 60, .prefill = 3000}), 3060u);
  EXPECT_EQ(Rows({.prefill = 256}, {.prefill = 4096}), 4096u);
}

TEST(PrefillBorrowingTest, TwiceTheBaseChunkAtLeast) {
  // Several prompts fill the base step.
  EXPECT_EQ(Rows({.prefill = 512}, {.prefill = 1023}), 0u);
  EXPECT_EQ(Rows({.prefill = 512}, {.prefill = 1024}), 1024u);
}

TEST(PrefillBorrowingTest, AStepFullOfDecodeTokensLetsPromptsIn) {
  EXPECT_EQ(Rows({.decode = 512}, {.decode = 512, .prefill = 100}), 612u);
}

TEST(PrefillBorrowingTest, GoesOnUntilABaseStepCanComputeTheRest) {
  EXPECT_EQ(Rows({.prefill = 256}, {.prefill = 300}, 2048), 300u);
  EXPECT_EQ(Rows({.prefill = 256}, {.prefill = 256}, 2048), 0u);
}

TEST(PrefillBorrowingTest, NeverWhereThereIsNothingToGain) {
  const PrefillBorrowing none(512, 512);
  EXPECT_FALSE(none.possible());
  EXPECT_EQ(none.RowsToBorrow({{.prefill = 256}, {.prefill = 4096}, 0}), 0u);
}

TEST(PrefillBorrowingTest, CountsRowsByTheirKind) {
  Schedule schedule;
  schedule.pieces = {{0, 1, 9}, {1, 1, 6}, {2, 200, 300}, {3, 56, 300}};
  const StepRows rows = CountRows(schedule);
  EXPECT_EQ(rows.decode, 2u);
  EXPECT_EQ(rows.prefill, 256u);
  EXPECT_EQ(rows.total(), 258u);
}

}  // namespace
}  // namespace spearfish::worker
