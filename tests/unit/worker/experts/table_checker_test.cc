#include "worker/experts/table_checker.h"

#include <gtest/gtest.h>

#include <vector>

namespace spearfish::worker {
namespace {

constexpr uint64_t kBase = 0x10000;
constexpr uint64_t kFrameBytes = 0x1000;
constexpr FrameId kA{0};
constexpr FrameId kB{1};

uint64_t AddressOf(FrameId frame) { return kBase + Index(frame) * kFrameBytes; }

// Each breach is one event after a history that keeps the discipline.
class TableCheckerTest : public testing::Test {
 protected:
  static void Step(TableChecker& checker) {
    checker.StepBegins();
    checker.StepEnds();
  }
  // Record 0 comes into frame A.
  void LoadIntoA() {
    checker_.LoadSubmitted(kA, 0);
    checker_.LoadFinished(kA);
    checker_.EntrySet(0, AddressOf(kA));
    checker_.Flushed();
  }
  // And goes again.
  void TakeOutOfA() {
    checker_.EntrySet(0, records_[0]);
    checker_.Flushed();
  }

  const std::vector<uint64_t> records_{0x900000, 0x901000, 0x902000};
  TableChecker checker_{
      {.base = kBase, .frame_bytes = kFrameBytes, .num_frames = 2, .record_addresses = records_}};
};

using TableCheckerDeathTest = TableCheckerTest;

TEST_F(TableCheckerTest, AcceptsTheDiscipline) {
  Step(checker_);
  LoadIntoA();
  Step(checker_);
  // A promotion while the step may still read.
  TakeOutOfA();
  checker_.CopiesWaitForSteps();
  checker_.LoadSubmitted(kA, 1);
  Step(checker_);
  checker_.LoadFinished(kA);
  checker_.EntrySet(1, AddressOf(kA));
  checker_.Flushed();
  Step(checker_);
  // A reclaim of a slot, and of one that is being written.
  checker_.LoadSubmitted(kB, 2);
  checker_.StepsWaitForLoad(kB);
  checker_.EntrySet(1, records_[1]);
  checker_.Flushed();
  checker_.FrameGivenAway(kA);
  checker_.FrameGivenAway(kB);
  Step(checker_);
  checker_.FrameGivenBack(kB);
  checker_.CopiesWaitForSteps();
  checker_.LoadSubmitted(kB, 1);
  checker_.LoadFinished(kB);  // the copy from before the reclaim
  checker_.LoadFinished(kB);
  checker_.EntrySet(1, AddressOf(kB));
  checker_.Flushed();
  Step(checker_);
}

TEST_F(TableCheckerDeathTest, NoStepWhileAnEntryLeadsToASlotBeingWritten) {
  checker_.LoadSubmitted(kA, 0);
  checker_.EntrySet(0, AddressOf(kA));
  checker_.Flushed();
  EXPECT_DEATH(checker_.StepBegins(), "slots_write_has_finished");
}

TEST_F(TableCheckerDeathTest, NoStepWhileAnOlderCopyMayStillWriteTheSlot) {
  checker_.LoadSubmitted(kA, 0);
  checker_.LoadSubmitted(kA, 1);
  checker_.LoadFinished(kA);
  checker_.EntrySet(1, AddressOf(kA));
  checker_.Flushed();
  EXPECT_DEATH(checker_.StepBegins(), "slots_write_has_finished");
}

TEST_F(TableCheckerDeathTest, NoStepWhileAnEntryLeadsToAnotherRecord) {
  LoadIntoA();
  checker_.EntrySet(1, AddressOf(kA));
  checker_.Flushed();
  EXPECT_DEATH(checker_.StepBegins(), "slot_holds_the_entrys_record");
}

TEST_F(TableCheckerDeathTest, NoStepWhileAnEntryLeadsToAnEmptySlot) {
  checker_.EntrySet(1, AddressOf(kB));
  checker_.Flushed();
  EXPECT_DEATH(checker_.StepBegins(), "slot_holds_the_entrys_record");
}

TEST_F(TableCheckerDeathTest, NoStepBeforeTheTableIsFlushed) {
  LoadIntoA();
  checker_.EntrySet(0, records_[0]);
  EXPECT_DEATH(checker_.StepBegins(), "table_is_flushed");
}

TEST_F(TableCheckerDeathTest, NoStepWhileAnEntryLeadsToAFrameGivenAway) {
  checker_.FrameGivenAway(kA);
  checker_.EntrySet(0, AddressOf(kA));
  checker_.Flushed();
  EXPECT_DEATH(checker_.StepBegins(), "slot_");
}

TEST_F(TableCheckerDeathTest, NoWriteIntoASlotThatTheTableLeadsTo) {
  LoadIntoA();
  EXPECT_DEATH(checker_.LoadSubmitted(kA, 1), "table_leads_to_written_slot");
}

TEST_F(TableCheckerDeathTest, NoWriteThatDoesNotWaitForTheLastStepThatMayRead) {
  LoadIntoA();
  checker_.CopiesWaitForSteps();
  Step(checker_);
  TakeOutOfA();
  EXPECT_DEATH(checker_.LoadSubmitted(kA, 1), "copy_waits_for_the_slots_last_use");
}

TEST_F(TableCheckerDeathTest, AWaitWithinAStepDoesNotCoverIt) {
  LoadIntoA();
  checker_.StepBegins();
  checker_.CopiesWaitForSteps();
  checker_.StepEnds();
  TakeOutOfA();
  EXPECT_DEATH(checker_.LoadSubmitted(kA, 1), "copy_waits_for_the_slots_last_use");
}

TEST_F(TableCheckerDeathTest, NoWriteIntoAFrameGivenAway) {
  checker_.FrameGivenAway(kA);
  EXPECT_DEATH(checker_.LoadSubmitted(kA, 1), "written_slot_is_given_away");
}

TEST_F(TableCheckerDeathTest, NoWriteThatDoesNotWaitForTheWorkOfTheOwnerBefore) {
  checker_.FrameGivenAway(kA);
  checker_.CopiesWaitForSteps();
  checker_.FrameGivenBack(kA);
  EXPECT_DEATH(checker_.LoadSubmitted(kA, 1), "copy_waits_for_the_slots_last_use");
}

TEST_F(TableCheckerDeathTest, NoFrameIsGivenAwayWhileTheTableLeadsToIt) {
  LoadIntoA();
  EXPECT_DEATH(checker_.FrameGivenAway(kA), "table_leads_to_given_frame");
  checker_.EntrySet(0, records_[0]);  // not flushed
  EXPECT_DEATH(checker_.FrameGivenAway(kA), "table_leads_to_given_frame");
}

TEST_F(TableCheckerDeathTest, NoFrameIsGivenAwayWhileACopyMayWriteIt) {
  checker_.LoadSubmitted(kA, 0);
  EXPECT_DEATH(checker_.FrameGivenAway(kA), "steps_wait_for_copies_into_given_frame");
}

TEST_F(TableCheckerDeathTest, FramesAreGivenAwayAndBackInTurn) {
  EXPECT_DEATH(checker_.FrameGivenBack(kA), "given_away");
  checker_.FrameGivenAway(kA);
  EXPECT_DEATH(checker_.FrameGivenAway(kA), "given_away");
}

TEST_F(TableCheckerDeathTest, EntriesChangeBetweenStepsOnly) {
  checker_.StepBegins();
  EXPECT_DEATH(checker_.EntrySet(0, AddressOf(kA)), "in_step_");
  EXPECT_DEATH(checker_.FrameGivenAway(kA), "in_step_");
  EXPECT_DEATH(checker_.StepBegins(), "in_step_");
}

TEST_F(TableCheckerDeathTest, EntriesLeadToFramesOrTheirOwnRecords) {
  EXPECT_DEATH(checker_.EntrySet(0, AddressOf(kA) + 8), "entry_is_a_frames_start");
  EXPECT_DEATH(checker_.EntrySet(0, records_[1]), "entry_is_the_records_address");
}

}  // namespace
}  // namespace spearfish::worker
