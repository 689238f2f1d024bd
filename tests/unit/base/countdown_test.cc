#include "common/base/countdown.h"

#include <gtest/gtest.h>

#include "common/base/mutex.h"

namespace spearfish {
namespace {

TEST(Countdown, HasPassedWithoutATimeout) {
  EXPECT_TRUE(Countdown(absl::ZeroDuration()).passed());
  EXPECT_TRUE(Countdown(absl::Seconds(-1)).passed());
  EXPECT_EQ(Countdown(absl::Seconds(-1)).left(), absl::ZeroDuration());
}

TEST(Countdown, AnInfiniteOneNeverPasses) {
  const Countdown never(absl::InfiniteDuration());
  EXPECT_FALSE(never.passed());
  EXPECT_EQ(never.left(), absl::InfiniteDuration());
}

TEST(Countdown, WhatIsLeftOnlyShrinks) {
  const Countdown countdown(absl::Hours(1));
  const absl::Duration first = countdown.left();
  EXPECT_LE(first, absl::Hours(1));
  EXPECT_GT(first, absl::ZeroDuration());
  EXPECT_LE(countdown.left(), first);
}

TEST(Countdown, AWaitForItEnds) {
  const Countdown countdown(absl::Milliseconds(2));
  Mutex mutex;
  Condition condition;
  const MutexLock lock(mutex);
  while (!countdown.passed()) condition.WaitFor(mutex, countdown.left());
  EXPECT_EQ(countdown.left(), absl::ZeroDuration());
}

}  // namespace
}  // namespace spearfish
