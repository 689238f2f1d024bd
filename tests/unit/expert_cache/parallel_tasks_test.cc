#include "common/expert_cache/parallel_tasks.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

namespace spearfish {
namespace {

TEST(ParallelTasks, RunsEachOnce) {
  for (const uint32_t num_threads : {0u, 1u, 3u, 50u}) {
    std::vector<std::atomic<int>> runs(20);
    EXPECT_TRUE(RunTasks(20, num_threads, [&](uint32_t i) {
                  ++runs[i];
                  return absl::OkStatus();
                }).ok());
    for (const auto& count : runs) EXPECT_EQ(count, 1);
  }
}

TEST(ParallelTasks, StopsAfterAnError) {
  uint32_t last = 0;
  const absl::Status status = RunTasks(1000, 1, [&](uint32_t i) {
    last = i;
    return i == 7 ? absl::DataLossError("seven") : absl::OkStatus();
  });
  EXPECT_TRUE(absl::IsDataLoss(status));
  EXPECT_EQ(last, 7u);
}

TEST(ParallelTasks, NoTasksAreDoneAtOnce) {
  EXPECT_TRUE(RunTasks(0, 4, [](uint32_t) { return absl::InternalError("called"); }).ok());
}

}  // namespace
}  // namespace spearfish
