#include "server/admission/admission_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/admission/admission_controller.h"

namespace spearfish::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class AdmissionQueueTest : public ::testing::Test {
 protected:
  void Start(const AdmissionOptions& options, uint64_t capacity) {
    queue_.emplace(options);
    SetCapacity(capacity);
  }
  void SetCapacity(uint64_t capacity) {
    std::vector<AdmissionOutcome> outcomes;
    queue_->SetCapacity(capacity, outcomes);
    Take(outcomes);
    Advance();
  }

  // Collects in started_ and refused_.
  void Advance() {
    std::vector<AdmissionOutcome> outcomes;
    queue_->Advance(now_, outcomes);
    Take(outcomes);
  }
  void Offer(uint64_t id, const AdmissionRequest& request) {
    std::vector<AdmissionOutcome> outcomes;
    const std::optional<Refusal> refusal = queue_->Offer(id, request, now_, outcomes);
    if (refusal) refused_.emplace(id, *refusal);
    Take(outcomes);
    Advance();
  }
  void End(uint64_t id) {
    queue_->Ended(id, now_);
    Advance();
  }
  void Take(const std::vector<AdmissionOutcome>& outcomes) {
    for (const AdmissionOutcome& outcome : outcomes) {
      if (outcome.refusal) {
        refused_.emplace(outcome.id, *outcome.refusal);
      } else {
        started_.push_back(outcome.id);
      }
    }
  }

  absl::Time now_ = absl::UnixEpoch();
  std::optional<AdmissionQueue> queue_;
  std::vector<uint64_t> started_;
  std::map<uint64_t, Refusal> refused_;
};

TEST_F(AdmissionQueueTest, StartsWhatFitsAndTheRestAsOthersEnd) {
  Start({}, 4);
  Offer(1, {.num_sequences = 3});
  Offer(2, {.num_sequences = 2});
  Offer(3, {.num_sequences = 1});  // would fit, but does not overtake
  EXPECT_THAT(started_, ElementsAre(1));
  End(1);
  EXPECT_THAT(started_, ElementsAre(1, 2, 3));
  EXPECT_EQ(queue_->num_running_sequences(), 3u);
}

TEST_F(AdmissionQueueTest, ARequestLargerThanTheCapacityGoesAlone) {
  Start({}, 4);
  Offer(1, {});
  Offer(2, {.num_sequences = 9});
  EXPECT_THAT(started_, ElementsAre(1));
  End(1);
  EXPECT_THAT(started_, ElementsAre(1, 2));
}

TEST_F(AdmissionQueueTest, WithoutAWorkerTheQueueIsToldAndWhatComesStarts) {
  Start({.max_waiting = 2}, 1);
  Offer(1, {});
  Offer(2, {});
  SetCapacity(0);
  EXPECT_EQ(refused_.at(2).reason, RefusalReason::kNoWorker);
  Offer(3, {});
  EXPECT_THAT(started_, ElementsAre(1, 3));
  Offer(4, {});
  EXPECT_EQ(refused_.at(4).reason, RefusalReason::kQueueFull) << "no more than may wait";
  End(3);
  Offer(5, {});
  EXPECT_THAT(started_, ElementsAre(1, 3, 5));
}

TEST_F(AdmissionQueueTest, AbortsWhatWaits) {
  Start({}, 1);
  Offer(1, {.request_id = "a"});
  Offer(2, {.request_id = "b"});
  std::vector<AdmissionOutcome> outcomes;
  EXPECT_FALSE(queue_->Abort("a", outcomes)) << "it runs";
  EXPECT_TRUE(queue_->Abort("b", outcomes));
  EXPECT_FALSE(queue_->Abort("b", outcomes));
  Take(outcomes);
  EXPECT_EQ(refused_.at(2).reason, RefusalReason::kAborted);
  EXPECT_EQ(queue_->num_waiting(), 0u);
}

TEST_F(AdmissionQueueTest, PrioritiesAreBounded) {
  Start({.max_priority = 5}, 1);
  Offer(1, {});
  Offer(2, {.priority = 5});
  Offer(3, {.priority = 1000});
  End(1);
  EXPECT_THAT(started_, ElementsAre(1, 2));
}

TEST_F(AdmissionQueueTest, LargerPriorityStartsFirst) {
  Start({}, 1);
  Offer(1, {});
  Offer(2, {});
  Offer(3, {.priority = 5});
  Offer(4, {.priority = -1});
  for (const uint64_t id : {1, 3, 2}) End(id);
  EXPECT_THAT(started_, ElementsAre(1, 3, 2, 4));
}

TEST_F(AdmissionQueueTest, ClientsTakeTurns) {
  Start({}, 1);
  for (uint64_t id = 1; id <= 5; ++id) Offer(id, {.client = "greedy"});
  for (uint64_t id = 11; id <= 12; ++id) Offer(id, {.client = "modest"});
  for (size_t i = 0; i < 6; ++i) End(started_.back());
  EXPECT_THAT(started_, ElementsAre(1, 11, 2, 12, 3, 4, 5));
}

TEST_F(AdmissionQueueTest, TurnsAreCountedInSequences) {
  Start({}, 4);
  Offer(1, {.client = "other", .num_sequences = 4});
  for (uint64_t id = 11; id <= 12; ++id) Offer(id, {.client = "wide", .num_sequences = 4});
  for (uint64_t id = 21; id <= 25; ++id) Offer(id, {.client = "narrow"});
  End(1);
  EXPECT_THAT(started_, ElementsAre(1, 21)) << "then it is wide's turn, which has no room";
  End(21);
  EXPECT_THAT(started_, ElementsAre(1, 21, 11));
  End(11);
  EXPECT_THAT(started_, ElementsAre(1, 21, 11, 22, 23, 24, 25)) << "four turns for the wide one's";
}

TEST_F(AdmissionQueueTest, AFullQueueRefusesWithATimeToComeBack) {
  Start({.max_waiting = 2}, 1);
  for (uint64_t id = 1; id <= 4; ++id) Offer(id, {});
  ASSERT_TRUE(refused_.contains(4));
  EXPECT_EQ(refused_.at(4).reason, RefusalReason::kQueueFull);
  EXPECT_GT(refused_.at(4).retry_after, absl::ZeroDuration());
  EXPECT_THAT(refused_.at(4).message, HasSubstr("2 requests wait"));
  EXPECT_EQ(queue_->num_waiting(), 2u);
}

TEST_F(AdmissionQueueTest, BytesAreBoundedToo) {
  Start({.max_waiting_bytes = 100}, 1);
  Offer(1, {.bytes = 1000});  // starts: holds nothing in the queue
  Offer(2, {.bytes = 60});
  Offer(3, {.bytes = 60});
  EXPECT_TRUE(refused_.contains(3));
  EXPECT_EQ(queue_->waiting_bytes(), 60u);
}

TEST_F(AdmissionQueueTest, AVictimMakesRoomForItsOwnBytesOnly) {
  Start({.max_waiting_bytes = 100}, 1);
  Offer(1, {});
  Offer(2, {.bytes = 20});
  Offer(3, {.bytes = 80});
  Offer(4, {.priority = 1, .bytes = 90});
  EXPECT_TRUE(refused_.contains(4));
  Offer(5, {.priority = 1, .bytes = 70});
  EXPECT_TRUE(refused_.contains(3));
  EXPECT_EQ(queue_->waiting_bytes(), 90u);
}

TEST_F(AdmissionQueueTest, AFullQueueMakesRoomForPriorityAndForThoseWhoHaveLess) {
  Start({.max_waiting = 4}, 1);
  for (uint64_t id = 1; id <= 5; ++id) Offer(id, {.client = "greedy"});
  Offer(6, {.client = "modest"});
  EXPECT_EQ(refused_.at(5).reason, RefusalReason::kDisplaced);
  Offer(7, {.client = "modest"});
  EXPECT_TRUE(refused_.contains(4));
  Offer(8, {.client = "modest"});
  EXPECT_TRUE(refused_.contains(8)) << "both have two now";
  Offer(9, {.client = "greedy", .priority = 1});
  EXPECT_EQ(queue_->num_waiting(), 4u);
  EXPECT_FALSE(refused_.contains(9));
}

TEST_F(AdmissionQueueTest, LimitsWhatOneClientHas) {
  Start({.max_per_client = 2}, 10);
  Offer(1, {.client = "a"});
  Offer(2, {.client = "a"});
  Offer(3, {.client = "a"});
  Offer(4, {.client = "b"});
  EXPECT_EQ(refused_.at(3).reason, RefusalReason::kClientLimit);
  EXPECT_THAT(started_, ElementsAre(1, 2, 4));
  End(1);
  Offer(5, {.client = "a"});
  EXPECT_THAT(started_, ElementsAre(1, 2, 4, 5));
}

TEST_F(AdmissionQueueTest, RefusesAtOnceWhatCannotStartInTime) {
  Start({}, 1);
  Offer(1, {});
  now_ += absl::Seconds(2);
  End(1);  // service time: 2 s
  Offer(2, {});
  Offer(3, {.deadline = now_ + absl::Seconds(1)});
  ASSERT_TRUE(refused_.contains(3));
  EXPECT_EQ(refused_.at(3).reason, RefusalReason::kTooLate);
  EXPECT_THAT(refused_.at(3).message, HasSubstr("2s to wait"));
  Offer(4, {.deadline = now_ + absl::Seconds(3)});
  EXPECT_FALSE(refused_.contains(4));
}

TEST_F(AdmissionQueueTest, OnlyWhatComesBeforeItCountsForTheWait) {
  Start({}, 1);
  Offer(1, {});
  now_ += absl::Seconds(2);
  End(1);  // service time: 2 s
  for (uint64_t id = 2; id <= 9; ++id) Offer(id, {});
  const absl::Time deadline = now_ + absl::Seconds(3);
  Offer(10, {.deadline = deadline});
  EXPECT_TRUE(refused_.contains(10));
  Offer(11, {.priority = 1, .deadline = deadline});
  EXPECT_FALSE(refused_.contains(11));
  Offer(12, {.client = "other", .deadline = now_ + absl::Seconds(5)});
  EXPECT_FALSE(refused_.contains(12)) << "after one of larger priority and one in turn";
}

TEST_F(AdmissionQueueTest, WhatIsLargerThanTheCapacityStartsOnAnIdleOne) {
  Start({}, 4);
  Offer(1, {.num_sequences = 9});
  now_ += absl::Seconds(20);
  End(1);
  Offer(2, {.num_sequences = 9, .deadline = now_ + absl::Seconds(1)});
  EXPECT_THAT(started_, ElementsAre(1, 2));
}

TEST_F(AdmissionQueueTest, RefusesWhatWaitedTooLong) {
  Start({.longest_wait = absl::Seconds(5)}, 1);
  Offer(1, {});
  Offer(2, {.deadline = now_ + absl::Seconds(1)});
  Offer(3, {});
  now_ += absl::Seconds(2);
  Advance();
  EXPECT_TRUE(refused_.contains(2));
  EXPECT_FALSE(refused_.contains(3));
  now_ += absl::Seconds(4);
  Advance();
  EXPECT_TRUE(refused_.contains(3));
  EXPECT_EQ(queue_->num_waiting(), 0u);
}

TEST_F(AdmissionQueueTest, WithdrawsWhatWaitsOnly) {
  Start({}, 1);
  Offer(1, {});
  Offer(2, {});
  EXPECT_FALSE(queue_->Withdraw(1));
  EXPECT_TRUE(queue_->Withdraw(2));
  EXPECT_FALSE(queue_->Withdraw(2));
  End(1);
  EXPECT_THAT(started_, ElementsAre(1));
}

TEST_F(AdmissionQueueTest, ARestIsNotSavedUp) {
  Start({}, 1);
  for (uint64_t id = 1; id <= 9; ++id) Offer(id, {.client = "steady"});
  for (int i = 0; i < 4; ++i) End(started_.back());
  for (uint64_t id = 11; id <= 14; ++id) Offer(id, {.client = "new"});
  for (int i = 0; i < 4; ++i) End(started_.back());
  // Turns from now on, not four in a row for what it left out before.
  EXPECT_THAT(std::vector<uint64_t>(started_.begin() + 5, started_.end()),
              ElementsAre(11, 12, 6, 13));
}

TEST_F(AdmissionQueueTest, TurnsAreNotSavedUpBehindALongRequest) {
  Start({}, 2);
  Offer(1, {.client = "saver"});  // runs all the time
  for (uint64_t id = 11; id <= 19; ++id) Offer(id, {.client = "steady"});
  for (uint64_t id = 11; id <= 14; ++id) End(id);
  for (uint64_t id = 2; id <= 5; ++id) Offer(id, {.client = "saver"});
  started_.clear();
  End(15);
  for (int i = 0; i < 3; ++i) End(started_.back());
  EXPECT_THAT(started_, ElementsAre(2, 3, 16, 4)) << "turns from now on, not four in a row";
}

TEST(AdmissionController, TellsWhoeverWaits) {
  AdmissionController controller(AdmissionOptions{.max_waiting = 1});
  controller.SetCapacity(1);
  std::vector<uint64_t> refused;
  std::map<uint64_t, AdmissionTicket> tickets;
  const auto enter = [&](uint64_t id) {
    controller.Enter(id, {}, [&, id](AdmissionTicket ticket, std::optional<Refusal> refusal) {
      if (refusal) {
        refused.push_back(id);
      } else {
        tickets[id] = std::move(ticket);
      }
    });
  };
  enter(1);
  enter(2);
  enter(3);
  EXPECT_THAT(refused, ElementsAre(3));
  EXPECT_EQ(tickets.size(), 1u);
  EXPECT_FALSE(controller.Withdraw(1));
  { const AdmissionTicket ended = std::move(tickets[1]); }
  EXPECT_TRUE(tickets.contains(2));
  enter(4);
  EXPECT_TRUE(controller.Withdraw(4));
  tickets.clear();
  EXPECT_EQ(controller.num_running_sequences(), 0u);
  EXPECT_EQ(controller.num_waiting(), 0u);
}

}  // namespace
}  // namespace spearfish::server
