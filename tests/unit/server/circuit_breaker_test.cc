#include "server/dispatch/circuit_breaker.h"

#include <gtest/gtest.h>

#include "server/dispatch/retry.h"

namespace spearfish::server {
namespace {

using State = CircuitBreaker::State;

class CircuitBreakerTest : public ::testing::Test {
 protected:
  void Fail(int times) {
    for (int i = 0; i < times; ++i) breaker_.Failed(now_);
  }

  absl::Time now_ = absl::UnixEpoch();
  CircuitBreaker breaker_{
      {.failures_to_open = 3, .first_open = absl::Seconds(1), .longest_open = absl::Seconds(3)}};
};

TEST_F(CircuitBreakerTest, OpensAfterFailuresInARow) {
  Fail(2);
  breaker_.Succeeded();
  Fail(2);
  EXPECT_TRUE(breaker_.Allows(now_));
  Fail(1);
  EXPECT_EQ(breaker_.state(now_), State::kOpen);
  EXPECT_FALSE(breaker_.Allows(now_));
}

TEST_F(CircuitBreakerTest, LetsOneTrialThroughWhenHalfOpen) {
  Fail(3);
  now_ += absl::Seconds(1);
  EXPECT_EQ(breaker_.state(now_), State::kHalfOpen);
  EXPECT_TRUE(breaker_.Allows(now_));
  breaker_.Started(now_);
  EXPECT_FALSE(breaker_.Allows(now_));
  breaker_.Succeeded();
  EXPECT_EQ(breaker_.state(now_), State::kClosed);
}

TEST_F(CircuitBreakerTest, AnAbandonedTrialMakesRoomForTheNext) {
  Fail(3);
  now_ += absl::Seconds(1);
  breaker_.Started(now_);
  breaker_.Abandoned();
  EXPECT_TRUE(breaker_.Allows(now_));
}

TEST_F(CircuitBreakerTest, StaysOpenLongerEachTimeATrialFails) {
  Fail(3);
  for (const int seconds : {1, 2, 3, 3}) {
    EXPECT_FALSE(breaker_.Allows(now_ + absl::Seconds(seconds) - absl::Milliseconds(1)));
    now_ += absl::Seconds(seconds);
    ASSERT_EQ(breaker_.state(now_), State::kHalfOpen) << seconds;
    breaker_.Started(now_);
    breaker_.Failed(now_);
  }
  now_ += absl::Seconds(3);
  breaker_.Succeeded();
  Fail(3);
  EXPECT_TRUE(breaker_.Allows(now_ + absl::Seconds(1))) << "starts over after a success";
}

TEST_F(CircuitBreakerTest, LateFailuresOfOldRequestsDoNotProlong) {
  Fail(3);
  now_ += absl::Milliseconds(900);
  Fail(10);
  EXPECT_TRUE(breaker_.Allows(now_ + absl::Milliseconds(100)));
}

TEST(RetryPause, DoublesUpToTheLongestWithJitter) {
  const RetryOptions options{.first_pause = absl::Milliseconds(10),
                             .longest_pause = absl::Milliseconds(50)};
  EXPECT_EQ(RetryPause(options, 1, 0), absl::Milliseconds(5));
  EXPECT_EQ(RetryPause(options, 2, 0.5), absl::Milliseconds(15));
  EXPECT_EQ(RetryPause(options, 3, 0), absl::Milliseconds(20));
  EXPECT_EQ(RetryPause(options, 4, 0), absl::Milliseconds(25));
  EXPECT_EQ(RetryPause(options, 1000, 0), absl::Milliseconds(25));
}

TEST(RetryBudget, AllowsAShareOfTheRequests) {
  RetryBudget budget({.budget_share = 0.25, .budget_burst = 2});
  EXPECT_TRUE(budget.TakeRetry());
  EXPECT_TRUE(budget.TakeRetry());
  EXPECT_FALSE(budget.TakeRetry());
  for (int i = 0; i < 4; ++i) budget.CountRequest();
  EXPECT_TRUE(budget.TakeRetry());
  EXPECT_FALSE(budget.TakeRetry());
  for (int i = 0; i < 100; ++i) budget.CountRequest();
  EXPECT_TRUE(budget.TakeRetry());
  EXPECT_TRUE(budget.TakeRetry());
  EXPECT_FALSE(budget.TakeRetry()) << "saves no more than the burst";
}

}  // namespace
}  // namespace spearfish::server
