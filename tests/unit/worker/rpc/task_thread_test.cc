#include "worker/rpc/task_thread.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace spearfish::worker {
namespace {

TEST(TaskThread, RunsEverythingInOrderBeforeItEnds) {
  std::vector<int> ran;
  {
    TaskThread thread;
    for (int i = 0; i < 5; ++i) thread.Post([&ran, i] { ran.push_back(i); });
  }
  EXPECT_THAT(ran, ::testing::ElementsAre(0, 1, 2, 3, 4));
}

}  // namespace
}  // namespace spearfish::worker
