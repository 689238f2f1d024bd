#include "worker/engine/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace spearfish::worker {

// Here because googletest prints and compares through the type's own namespace.
bool operator==(const ScheduledPiece& a, const ScheduledPiece& b) {
  return a.sequence == b.sequence && a.num_tokens == b.num_tokens && a.kv_tokens == b.kv_tokens;
}
void PrintTo(const ScheduledPiece& piece, std::ostream* out) {
  *out << "{" << piece.sequence << ", " << piece.num_tokens << ", " << piece.kv_tokens << "}";
}

namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr SchedulerLimits kLimits{.max_num_seqs = 4,
                                  .max_num_batched_tokens = 16,
                                  .max_prefill_chunk_tokens = 8,
                                  .block_tokens = 4};

Schedule Plan(const std::vector<SequenceLoad>& sequences, uint32_t num_running,
              uint32_t num_free_blocks, const SchedulerLimits& limits = kLimits) {
  Schedule schedule;
  Scheduler(limits).Plan({sequences, num_running, num_free_blocks, 0}, schedule);
  return schedule;
}

using Piece = ScheduledPiece;

TEST(SchedulerTest, NothingToDoGivesAnEmptyStep) { EXPECT_THAT(Plan({}, 0, 10).pieces, IsEmpty()); }

TEST(SchedulerTest, AdmitsInChunks) {
  EXPECT_THAT(Plan({{20, 0, 0}}, 0, 10).pieces, ElementsAre(Piece{0, 8, 20}));
  EXPECT_THAT(Plan({{20, 8, 5}}, 1, 5).pieces, ElementsAre(Piece{0, 8, 20}));
  EXPECT_THAT(Plan({{20, 16, 5}}, 1, 5).pieces, ElementsAre(Piece{0, 4, 20}));
}

TEST(SchedulerTest, DecodesFirstThenPrefillsThenAdmits) {
  // Running: a prefill, then two that decode; waiting: one.
  const Schedule schedule = Plan({{20, 8, 5}, {9, 8, 3}, {6, 5, 2}, {30, 0, 0}}, 3, 20);
  EXPECT_THAT(schedule.pieces,
              ElementsAre(Piece{1, 1, 9}, Piece{2, 1, 6}, Piece{0, 8, 20}, Piece{3, 6, 30}));
  EXPECT_EQ(schedule.num_preempted, 0u);
}

TEST(SchedulerTest, NeverExceedsTheTokensOfAStep) {
  const Schedule schedule = Plan({{40, 8, 10}, {40, 8, 10}, {40, 8, 10}}, 3, 20);
  EXPECT_THAT(schedule.pieces, ElementsAre(Piece{0, 8, 40}, Piece{1, 8, 40}));
}

TEST(SchedulerTest, BorrowedRowsReplaceBothLimitsOfTokens) {
  const std::vector<SequenceLoad> loads = {{9, 8, 3}, {40, 8, 10}, {100, 0, 0}};
  Schedule schedule;
  const Scheduler scheduler(kLimits);
  scheduler.Plan({loads, 2, 50, 60}, schedule);
  EXPECT_THAT(schedule.pieces, ElementsAre(Piece{0, 1, 9}, Piece{1, 32, 40}, Piece{2, 27, 100}));
  // Fewer than there are anyway change nothing.
  scheduler.Plan({loads, 2, 50, 5}, schedule);
  EXPECT_THAT(schedule.pieces, ElementsAre(Piece{0, 1, 9}, Piece{1, 8, 40}, Piece{2, 7, 100}));
}

TEST(SchedulerTest, AdmitsNoMoreThanMaxNumSeqs) {
  const Schedule schedule = Plan({{5, 4, 2}, {5, 4, 2}, {5, 4, 2}, {2, 0, 0}, {2, 0, 0}}, 3, 50);
  EXPECT_EQ(schedule.pieces.size(), 4u);
}

TEST(SchedulerTest, AdmitsInOrderOnly) {
  // The first of the queue doesn't fit; the second would.
  EXPECT_THAT(Plan({{9, 8, 3}, {40, 0, 0}, {2, 0, 0}}, 1, 5).pieces, ElementsAre(Piece{0, 1, 9}));
}

TEST(SchedulerTest, AdmissionLeavesABlockForEachThatRuns) {
  EXPECT_THAT(Plan({{5, 4, 2}, {8, 0, 0}}, 1, 2).pieces, ElementsAre(Piece{0, 1, 5}));
  EXPECT_THAT(Plan({{5, 4, 2}, {8, 0, 0}}, 1, 3).pieces,
              ElementsAre(Piece{0, 1, 5}, Piece{1, 8, 8}));
}

TEST(SchedulerTest, ALoneSequenceMayTakeEverything) {
  EXPECT_THAT(Plan({{40, 0, 0}}, 0, 10).pieces, ElementsAre(Piece{0, 8, 40}));
}

TEST(SchedulerTest, PreemptsTheLastWhenBlocksRunOut) {
  // The first needs a third block.
  const Schedule schedule = Plan({{9, 8, 2}, {6, 5, 2}, {7, 6, 2}, {3, 0, 0}}, 3, 0);
  EXPECT_EQ(schedule.num_preempted, 1u);
  EXPECT_THAT(schedule.pieces, ElementsAre(Piece{0, 1, 9}, Piece{1, 1, 6}));
}

TEST(SchedulerTest, TheLastPreemptsItself) {
  const Schedule schedule = Plan({{6, 5, 2}, {9, 8, 2}}, 2, 0);
  EXPECT_EQ(schedule.num_preempted, 1u);
  EXPECT_THAT(schedule.pieces, ElementsAre(Piece{0, 1, 6}));
}

TEST(SchedulerTest, PreemptsAPrefillToo) {
  const Schedule schedule = Plan({{9, 8, 2}, {30, 8, 8}}, 2, 0);
  EXPECT_EQ(schedule.num_preempted, 1u);
  EXPECT_THAT(schedule.pieces, ElementsAre(Piece{0, 1, 9}));
}

TEST(SchedulerTest, PreemptsAsManyAsItTakes) {
  const Schedule schedule = Plan({{9, 8, 2}, {9, 8, 2}, {5, 4, 1}, {5, 4, 1}}, 4, 0);
  EXPECT_EQ(schedule.num_preempted, 2u);
  EXPECT_THAT(schedule.pieces, ElementsAre(Piece{0, 1, 9}, Piece{1, 1, 9}));
}

TEST(SchedulerTest, AdmitsNobodyInAStepThatPreempts) {
  const Schedule schedule = Plan({{9, 8, 2}, {9, 8, 5}, {2, 0, 0}}, 2, 0);
  EXPECT_EQ(schedule.num_preempted, 1u);
  EXPECT_THAT(schedule.pieces, ElementsAre(Piece{0, 1, 9}));
}

}  // namespace
}  // namespace spearfish::worker
