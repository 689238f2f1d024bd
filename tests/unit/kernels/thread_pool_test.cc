#include "kernels/cpu/thread_pool.h"

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace spearfish::kernels {
namespace {

class ThreadPoolTest : public ::testing::TestWithParam<uint32_t> {};

INSTANTIATE_TEST_SUITE_P(Threads, ThreadPoolTest, ::testing::Values(1, 2, 3, 8));

TEST_P(ThreadPoolTest, RunsEveryItemExactlyOnce) {
  ThreadPool pool(GetParam());
  for (const uint32_t num_items : {0u, 1u, 2u, 3u, 7u, 64u, 1000u}) {
    std::vector<uint32_t> runs(num_items, 0);  // plain: ThreadSanitizer sees a double claim
    pool.ParallelFor(num_items, [&](uint32_t item, uint32_t) { ++runs[item]; });
    EXPECT_EQ(runs, std::vector<uint32_t>(num_items, 1));
  }
}

TEST_P(ThreadPoolTest, ThreadNumbersAreNotSharedWithinALoop) {
  ThreadPool pool(GetParam());
  std::vector<uint64_t> sums(pool.num_threads(), 0);  // plain: a shared number would be a race
  for (int loop = 0; loop < 200; ++loop) {
    pool.ParallelFor(50, [&](uint32_t item, uint32_t thread) {
      ASSERT_LT(thread, pool.num_threads());
      sums[thread] += item;
    });
  }
  uint64_t total = 0;
  for (const uint64_t sum : sums) total += sum;
  EXPECT_EQ(total, 200u * (50 * 49 / 2));
}

TEST_P(ThreadPoolTest, WritesOfOneLoopAreVisibleToTheNext) {
  ThreadPool pool(GetParam());
  std::vector<uint32_t> values(97, 0);
  for (int loop = 0; loop < 500; ++loop) {
    std::vector<uint32_t> next(values.size());
    pool.ParallelFor(static_cast<uint32_t>(values.size()), [&](uint32_t item, uint32_t) {
      next[item] = values[(item + 1) % values.size()] + 1;
    });
    values = next;
  }
  EXPECT_EQ(values, std::vector<uint32_t>(97, 500));
}

TEST_P(ThreadPoolTest, NestedLoopRunsInlineUnderTheSameThread) {
  ThreadPool pool(GetParam());
  std::atomic<uint32_t> inner_items{0};
  pool.ParallelFor(6, [&](uint32_t, uint32_t outer_thread) {
    pool.ParallelFor(5, [&](uint32_t, uint32_t inner_thread) {
      EXPECT_EQ(inner_thread, outer_thread);
      inner_items.fetch_add(1, std::memory_order_relaxed);
    });
  });
  EXPECT_EQ(inner_items.load(), 30u);
}

TEST_P(ThreadPoolTest, ConcurrentCallersEachGetTheirWholeLoop) {
  ThreadPool pool(GetParam());
  std::vector<std::thread> callers;
  callers.reserve(4);
  std::vector<uint32_t> totals(4, 0);
  for (uint32_t& total : totals) {
    callers.emplace_back([&pool, &total] {
      for (int loop = 0; loop < 100; ++loop) {
        std::atomic<uint32_t> count{0};
        pool.ParallelFor(20, [&](uint32_t, uint32_t) { count.fetch_add(1); });
        total += count.load();
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(totals, std::vector<uint32_t>(4, 2000));
}

TEST(ThreadPoolLifetimeTest, ZeroThreadsCountsAsOne) {
  ThreadPool pool(0);
  EXPECT_EQ(pool.num_threads(), 1u);
  uint32_t count = 0;
  pool.ParallelFor(3, [&](uint32_t, uint32_t thread) {
    EXPECT_EQ(thread, 0u);
    ++count;
  });
  EXPECT_EQ(count, 3u);
}

TEST(ThreadPoolLifetimeTest, StartsAndStopsWithoutWork) {
  for (int round = 0; round < 20; ++round) ThreadPool pool(3);
}

}  // namespace
}  // namespace spearfish::kernels
