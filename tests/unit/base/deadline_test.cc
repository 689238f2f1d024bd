#include "common/base/deadline.h"

#include <gtest/gtest.h>

#include "common/base/mutex.h"

namespace spearfish {
namespace {

TEST(Deadline, HasPassedWithoutATimeout) {
  EXPECT_TRUE(Deadline(absl::ZeroDuration()).passed());
  EXPECT_TRUE(Deadline(absl::Seconds(-1)).passed());
  EXPECT_EQ(Deadline(absl::Seconds(-1)).left(), absl::ZeroDuration());
}

TEST(Deadline, AnInfiniteOneNeverPasses) {
  const Deadline never(absl::InfiniteDuration());
  EXPECT_FALSE(never.passed());
  EXPECT_EQ(never.left(), absl::InfiniteDuration());
}

TEST(Deadline, WhatIsLeftOnlyShrinks) {
  const Deadline deadline(absl::Hours(1));
  const absl::Duration first = deadline.left();
  EXPECT_LE(first, absl::Hours(1));
  EXPECT_GT(first, absl::ZeroDuration());
  EXPECT_LE(deadline.left(), first);
}

TEST(Deadline, AWaitForItEnds) {
  const Deadline deadline(absl::Milliseconds(2));
  Mutex mutex;
  Condition condition;
  const MutexLock lock(mutex);
  while (!deadline.passed()) condition.WaitFor(mutex, deadline.left());
  EXPECT_EQ(deadline.left(), absl::ZeroDuration());
}

}  // namespace
}  // namespace spearfish
