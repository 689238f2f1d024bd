#include "worker/experts/expert_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <numeric>
#include <thread>
#include <utility>
#include <vector>

#include "tests/unit/worker/experts/pool_on_cpu.h"

namespace spearfish::worker {
namespace {

using tests::PoolOnCpu;
using tests::StreamGate;

// Heat falls with the record's number.
std::vector<double> FallingHeat(uint32_t num_records) {
  std::vector<double> counts(num_records);
  std::iota(counts.rbegin(), counts.rend(), 1.0);
  return counts;
}

uint32_t NumResident(PoolOnCpu& on_cpu) {
  uint32_t num = 0;
  for (RecordIndex r = 0; r < on_cpu.num_records(); ++r) num += on_cpu.pool().resident(r) ? 1 : 0;
  return num;
}

// Every entry of the device's table leads to its record's bytes, to a slot exactly if resident.
void ExpectTableIsRight(PoolOnCpu& on_cpu) {
  on_cpu.stream().Synchronize();
  for (RecordIndex r = 0; r < on_cpu.num_records(); ++r) {
    const uint64_t entry = on_cpu.DeviceEntry(r);
    EXPECT_EQ(on_cpu.FrameOf(entry) >= 0, on_cpu.pool().resident(r)) << r;
    EXPECT_TRUE(on_cpu.records().Is(r, entry)) << r;
  }
}

TEST(ExpertPoolTest, LoadFillsLowestFramesWithHottestExperts) {
  PoolOnCpu on_cpu({.hard_slots = 3, .soft_slots = 4});
  on_cpu.pool().Seed(FallingHeat(16));
  on_cpu.pool().Load(on_cpu.stream());
  for (RecordIndex r = 0; r < 16; ++r) {
    EXPECT_EQ(on_cpu.FrameOf(on_cpu.DeviceEntry(r)), r < 7 ? static_cast<int>(r) : -1);
  }
  ExpectTableIsRight(on_cpu);
  const PoolFigures figures = on_cpu.pool().figures();
  EXPECT_EQ(figures.num_resident, 7u);
  EXPECT_EQ(figures.num_loading, 0u);
  EXPECT_EQ(figures.loads.count, 7u);
  EXPECT_EQ(figures.loads.bytes, 7u * 4096);
  EXPECT_EQ(figures.reloads.count, 0u);
  EXPECT_DOUBLE_EQ(figures.coverage(), 7.0 / 16);
  EXPECT_EQ(figures.layers[0].resident, 7u);
  EXPECT_EQ(figures.layers[1].resident, 0u);
}

TEST(ExpertPoolTest, CoverageIsCapped) {
  for (const auto& [coverage, expected] :
       std::vector<std::pair<double, uint32_t>>{{0, 0}, {0.1, 1}, {0.402, 6}, {1, 12}}) {
    PoolOnCpu on_cpu({.hard_slots = 4, .soft_slots = 8}, {.max_coverage = coverage});
    on_cpu.pool().Load(on_cpu.stream());
    EXPECT_EQ(NumResident(on_cpu), expected) << coverage;
    EXPECT_EQ(on_cpu.pool().figures().num_resident, expected) << coverage;
    ExpectTableIsRight(on_cpu);
  }
}

TEST(ExpertPoolTest, WorksWithoutSlots) {
  PoolOnCpu on_cpu({.kv_frames = 2});
  on_cpu.pool().Load(on_cpu.stream());
  for (int step = 0; step < 3; ++step) on_cpu.Step({0, 9});
  EXPECT_EQ(NumResident(on_cpu), 0u);
  EXPECT_FALSE(on_cpu.pool().Maintain(on_cpu.stream()));
  EXPECT_EQ(on_cpu.pool().figures().layers[1].misses, 3u);
  ExpectTableIsRight(on_cpu);
}

TEST(ExpertPoolTest, WorksWithoutFrames) {
  PoolOnCpu on_cpu({});
  on_cpu.pool().Load(on_cpu.stream());
  on_cpu.Step({0});
  ExpectTableIsRight(on_cpu);
}

TEST(ExpertPoolTest, LeavesSlotsEmptyWhenAllExpertsAreResident) {
  PoolOnCpu on_cpu({.hard_slots = 10, .soft_slots = 10});
  on_cpu.pool().Load(on_cpu.stream());
  EXPECT_EQ(NumResident(on_cpu), 16u);
  EXPECT_EQ(on_cpu.pool().figures().coverage(), 1);
  for (int step = 0; step < 3; ++step) on_cpu.Step({1, 15});
  on_cpu.pool().Reclaim(FrameId{16}, 4, FrameUse::kKv, on_cpu.stream());
  EXPECT_EQ(NumResident(on_cpu), 16u);
  ExpectTableIsRight(on_cpu);
}

TEST(ExpertPoolTest, ServesFromTheCacheUntilTheCopyHasFinished) {
  PoolOnCpu on_cpu({.soft_slots = 4});
  StreamGate gate;
  gate.Hold(on_cpu.copy_stream());
  on_cpu.pool().StartReload();
  for (int step = 0; step < 3; ++step) {
    on_cpu.Step();
    EXPECT_EQ(NumResident(on_cpu), 0u);
    EXPECT_EQ(on_cpu.pool().figures().num_loading, 4u);
  }
  ExpectTableIsRight(on_cpu);
  gate.Release();
  on_cpu.copy_stream().Synchronize();
  EXPECT_EQ(NumResident(on_cpu), 0u);  // entries change between steps only
  on_cpu.Step();
  EXPECT_EQ(NumResident(on_cpu), 4u);
  ExpectTableIsRight(on_cpu);
}

TEST(ExpertPoolTest, EntriesComeBatchByBatch) {
  PoolOnCpu on_cpu({.soft_slots = 4}, {.max_bytes_in_flight = 4096, .batch_bytes = 4096});
  on_cpu.pool().Seed(FallingHeat(16));
  on_cpu.pool().StartReload();
  for (uint32_t num_resident = 0; num_resident < 4; ++num_resident) {
    on_cpu.pool().BeginStep(on_cpu.stream());
    EXPECT_EQ(NumResident(on_cpu), num_resident);
    on_cpu.pool().EndStep(on_cpu.stream());
    on_cpu.copy_stream().Synchronize();
    on_cpu.stream().Synchronize();
    on_cpu.pool().FinishStep(1);
    ExpectTableIsRight(on_cpu);
  }
}

TEST(ExpertPoolTest, CancelForgetsWhatIsNotSubmitted) {
  PoolOnCpu on_cpu({.soft_slots = 6}, {.max_bytes_in_flight = 8192, .batch_bytes = 4096});
  on_cpu.pool().Seed(FallingHeat(16));
  StreamGate gate;
  gate.Hold(on_cpu.copy_stream());
  on_cpu.pool().StartReload();
  EXPECT_TRUE(on_cpu.pool().Maintain(on_cpu.stream()));
  on_cpu.pool().CancelLoads();
  EXPECT_EQ(on_cpu.pool().figures().num_loading, 2u);
  EXPECT_EQ(on_cpu.pool().figures().cancelled_loads, 4u);
  gate.Release();
  on_cpu.Settle();
  EXPECT_EQ(NumResident(on_cpu), 2u);
  ExpectTableIsRight(on_cpu);
  on_cpu.pool().Load(on_cpu.stream());  // and all can be had again
  EXPECT_EQ(NumResident(on_cpu), 6u);
  ExpectTableIsRight(on_cpu);
}

TEST(ExpertPoolTest, ReclaimedFramesMayBeOverwrittenByTheStepsStream) {
  PoolOnCpu on_cpu({.hard_slots = 2, .soft_slots = 4});
  on_cpu.pool().Seed(FallingHeat(16));
  on_cpu.pool().Load(on_cpu.stream());
  on_cpu.pool().Reclaim(FrameId{4}, 2, FrameUse::kWorkspace, on_cpu.stream());
  on_cpu.stream().Fill(on_cpu.arena().address(FrameId{4}), 0xEE, 2 * 4096);
  EXPECT_EQ(NumResident(on_cpu), 4u);
  EXPECT_FALSE(on_cpu.pool().resident(4));
  ExpectTableIsRight(on_cpu);
  EXPECT_EQ(on_cpu.arena().use(FrameId{5}), FrameUse::kWorkspace);
  const PoolFigures figures = on_cpu.pool().figures();
  EXPECT_EQ(figures.reclaims.count, 2u);
  EXPECT_EQ(figures.frames.hard_slots, 2u);
  EXPECT_EQ(figures.frames.soft_slots, 2u);
  EXPECT_EQ(figures.frames.workspace, 2u);
}

TEST(ExpertPoolTest, ReclaimOfALoadingFrameWaitsForTheCopyOnTheStepsStreamOnly) {
  PoolOnCpu on_cpu({.soft_slots = 4});
  StreamGate gate;
  gate.Hold(on_cpu.copy_stream());
  on_cpu.pool().StartReload();
  on_cpu.Step();
  on_cpu.pool().Reclaim(FrameId{1}, 3, FrameUse::kKv, on_cpu.stream());
  on_cpu.stream().Fill(on_cpu.arena().address(FrameId{1}), 0xEE, 3 * 4096);
  EXPECT_EQ(on_cpu.pool().figures().cancelled_loads, 3u);
  EXPECT_EQ(on_cpu.pool().figures().num_loading, 1u);
  gate.Release();
  on_cpu.Settle();
  EXPECT_EQ(NumResident(on_cpu), 1u);
  ExpectTableIsRight(on_cpu);
  // The fill came after the copies that were on their way.
  for (size_t i = 4096; i < size_t{4} * 4096; ++i) {
    ASSERT_EQ(on_cpu.arena().base()[i], std::byte{0xEE}) << i;
  }
}

TEST(ExpertPoolTest, ReturnedFramesAreRefilledInTheBackground) {
  PoolOnCpu on_cpu({.hard_slots = 2, .soft_slots = 4});
  on_cpu.pool().Seed(FallingHeat(16));
  on_cpu.pool().Load(on_cpu.stream());
  on_cpu.pool().Reclaim(FrameId{2}, 4, FrameUse::kKv, on_cpu.stream());
  on_cpu.Step();
  StreamGate gate;
  gate.Hold(on_cpu.stream());  // the work that uses the frames is still to run
  on_cpu.stream().Fill(on_cpu.arena().address(FrameId{2}), 0xEE, 4 * 4096);
  on_cpu.pool().Return(FrameId{2}, 4, on_cpu.stream());
  EXPECT_TRUE(on_cpu.pool().Maintain(on_cpu.stream()));
  gate.Release();
  on_cpu.Settle();
  EXPECT_EQ(NumResident(on_cpu), 6u);
  ExpectTableIsRight(on_cpu);
  const PoolFigures figures = on_cpu.pool().figures();
  EXPECT_EQ(figures.loads.count, 6u);
  EXPECT_EQ(figures.reloads.count, 4u);
  EXPECT_EQ(figures.reloads.bytes, 4u * 4096);
  EXPECT_EQ(figures.frames.soft_slots, 4u);
}

TEST(ExpertPoolTest, KvFramesOfTheStartCanBecomeSlots) {
  PoolOnCpu on_cpu({.hard_slots = 2, .kv_frames = 3});
  on_cpu.pool().Load(on_cpu.stream());
  on_cpu.pool().Return(FrameId{3}, 2, on_cpu.stream());
  on_cpu.Settle();
  EXPECT_EQ(NumResident(on_cpu), 4u);
  EXPECT_EQ(on_cpu.pool().figures().frames.kv, 1u);
  ExpectTableIsRight(on_cpu);
}

TEST(ExpertPoolTest, HeatOfFramesIsThatOfTheirExperts) {
  PoolOnCpu on_cpu({.soft_slots = 4, .kv_frames = 1});
  on_cpu.pool().Seed(FallingHeat(16));
  on_cpu.pool().Load(on_cpu.stream());
  const double hottest = on_cpu.pool().HeatOf(FrameId{0}, 1);
  EXPECT_GT(hottest, on_cpu.pool().HeatOf(FrameId{3}, 1));
  EXPECT_GT(on_cpu.pool().HeatOf(FrameId{0}, 4), hottest);
  EXPECT_EQ(on_cpu.pool().HeatOf(FrameId{4}, 1), 0);
}

TEST(ExpertPoolTest, PromotesWhatIsRouted) {
  PoolOnCpu on_cpu({.hard_slots = 2, .soft_slots = 2});
  on_cpu.pool().Seed(FallingHeat(16));
  on_cpu.pool().Load(on_cpu.stream());
  for (int step = 0; step < 100; ++step) {
    on_cpu.Step({4, 5, 14, 15});
    on_cpu.copy_stream().Synchronize();
  }
  on_cpu.Settle();
  for (const RecordIndex record : {4, 5, 14, 15}) EXPECT_TRUE(on_cpu.pool().resident(record));
  ExpectTableIsRight(on_cpu);
  const PoolFigures figures = on_cpu.pool().figures();
  EXPECT_GE(figures.promotions.count, 4u);
  EXPECT_EQ(figures.num_resident, 4u);
}

TEST(ExpertPoolTest, NoPromotionsWhenNoneAreEarned) {
  PoolOnCpu on_cpu({.soft_slots = 4}, {.promotions_per_layer_token = 0});
  on_cpu.pool().Load(on_cpu.stream());
  for (int step = 0; step < 20; ++step) on_cpu.Step({14, 15});
  EXPECT_EQ(on_cpu.pool().figures().promotions.count, 0u);
  EXPECT_FALSE(on_cpu.pool().Maintain(on_cpu.stream()));
}

TEST(ExpertPoolTest, PlansNoPromotionsWhileTheQueueIsFull) {
  PoolOnCpu on_cpu({.hard_slots = 2, .kv_frames = 4},
                   {.max_bytes_in_flight = 4096, .batch_bytes = 4096});
  on_cpu.pool().Seed(FallingHeat(16));
  on_cpu.pool().Load(on_cpu.stream());
  StreamGate gate;
  gate.Hold(on_cpu.copy_stream());
  on_cpu.pool().Return(FrameId{2}, 4, on_cpu.stream());
  for (int step = 0; step < 50; ++step) {
    on_cpu.Step({14, 15});
    EXPECT_TRUE(on_cpu.pool().resident(0) && on_cpu.pool().resident(1));
  }
  gate.Release();
  on_cpu.Settle();
  EXPECT_EQ(on_cpu.pool().figures().promotions.count, 0u);
  EXPECT_EQ(NumResident(on_cpu), 6u);
}

TEST(ExpertPoolTest, DropsAPromotionWhoseVictimWasReclaimed) {
  PoolOnCpu on_cpu({.soft_slots = 1});
  on_cpu.pool().Seed(FallingHeat(16));
  on_cpu.pool().Load(on_cpu.stream());
  on_cpu.Step({15, 14});
  for (int step = 0; step < 20 && on_cpu.pool().resident(0); ++step) {
    // Whatever PlanNext has planned for the only slot, it is gone before the next step.
    on_cpu.pool().Reclaim(FrameId{0}, 1, FrameUse::kKv, on_cpu.stream());
    on_cpu.Step({15, 14});
    EXPECT_EQ(NumResident(on_cpu), 0u);
    EXPECT_EQ(on_cpu.pool().figures().num_loading, 0u);
    on_cpu.pool().Return(FrameId{0}, 1, on_cpu.stream());
    on_cpu.Settle();
    ExpectTableIsRight(on_cpu);
    on_cpu.Step({15, 14});
  }
  ExpectTableIsRight(on_cpu);
}

TEST(ExpertPoolTest, CountsHitsAndMissesByLayer) {
  PoolOnCpu on_cpu({.hard_slots = 3}, {.promotions_per_layer_token = 0});
  on_cpu.pool().Seed(FallingHeat(16));
  on_cpu.pool().Load(on_cpu.stream());  // records 0 to 2: all of layer 0
  on_cpu.Step({0, 1, 1, 7, 8, 15});
  on_cpu.Step({2, 9});
  const PoolFigures figures = on_cpu.pool().figures();
  EXPECT_EQ(figures.layers[0].hits, 4u);
  EXPECT_EQ(figures.layers[0].misses, 1u);
  EXPECT_EQ(figures.layers[1].hits, 0u);
  EXPECT_EQ(figures.layers[1].misses, 3u);
}

TEST(ExpertPoolTest, CountersMayWrapAround) {
  PoolOnCpu on_cpu({.hard_slots = 1});
  on_cpu.pool().BeginStep(on_cpu.stream());
  on_cpu.SetCounter(3, ~uint32_t{0});
  on_cpu.pool().EndStep(on_cpu.stream());
  on_cpu.stream().Synchronize();
  on_cpu.pool().FinishStep(1);
  const uint64_t misses = on_cpu.pool().figures().layers[0].misses;
  on_cpu.Step({3, 3, 3});
  EXPECT_EQ(on_cpu.pool().figures().layers[0].misses, misses + 3);
}

TEST(ExpertPoolTest, FiguresAreReadByAnyThreadWhileStepsRun) {
  PoolOnCpu on_cpu({.hard_slots = 2, .soft_slots = 4});
  std::atomic<bool> ended{false};
  std::thread reader([&] {
    uint64_t activations = 0;
    while (!ended) {
      const PoolFigures figures = on_cpu.pool().figures();
      EXPECT_EQ(figures.frames.hard_slots, 2u);
      EXPECT_EQ(figures.frames.soft_slots + figures.frames.kv, 4u);
      EXPECT_EQ(figures.layers[0].resident + figures.layers[1].resident, figures.num_resident);
      const uint64_t now = figures.layers[0].hits + figures.layers[0].misses;
      EXPECT_GE(now, activations);
      activations = now;
    }
  });
  on_cpu.pool().Load(on_cpu.stream());
  for (RecordIndex step = 0; step < 200; ++step) {
    on_cpu.Step({step % 16, 3});
    on_cpu.pool().Reclaim(FrameId{4}, 2, FrameUse::kKv, on_cpu.stream());
    on_cpu.Step({step % 16});
    on_cpu.pool().Return(FrameId{4}, 2, on_cpu.stream());
  }
  ended = true;
  reader.join();
}

TEST(ExpertPoolTest, FinishTakesInStepsThatWereNotFinished) {
  PoolOnCpu on_cpu({.hard_slots = 1});
  for (int step = 0; step < 2; ++step) {
    on_cpu.pool().BeginStep(on_cpu.stream());
    on_cpu.EnqueueRouting({3});
    on_cpu.pool().EndStep(on_cpu.stream());
  }
  on_cpu.stream().Synchronize();
  on_cpu.pool().FinishStep(2);
  EXPECT_EQ(on_cpu.pool().figures().layers[0].misses, 2u);
}

TEST(ExpertPoolTest, SecondsAreThoseWithCopiesOnTheirWay) {
  absl::Time now = absl::UnixEpoch();
  PoolOnCpu on_cpu({.soft_slots = 4}, {.clock = [&now] { return now; }});
  StreamGate gate;
  gate.Hold(on_cpu.copy_stream());
  on_cpu.pool().StartReload();
  now += absl::Seconds(5);  // queued only
  on_cpu.pool().Maintain(on_cpu.stream());
  now += absl::Seconds(3);
  gate.Release();
  on_cpu.Settle();
  now += absl::Seconds(7);
  on_cpu.Step();
  EXPECT_EQ(on_cpu.pool().figures().loads.seconds, 3);
  EXPECT_EQ(on_cpu.pool().figures().reloads.seconds, 0);
}

TEST(ExpertPoolTest, HostMemoryDoesNotGrowWithThePool) {
  for (const uint32_t num_slots : {4u, 512u}) {
    PoolOnCpu on_cpu({.num_experts = 256, .hard_slots = num_slots, .record_bytes = 16384});
    on_cpu.pool().Load(on_cpu.stream());
    on_cpu.Step({1, 2, 3});
    uint64_t total = 0;
    for (const size_t bytes : on_cpu.device().host_allocations()) {
      EXPECT_LE(bytes, size_t{1} << 20);
      total += bytes;
    }
    EXPECT_EQ(on_cpu.pool().figures().extra_host_bytes, total);
    EXPECT_EQ(total, 512u * (sizeof(uint64_t) + sizeof(uint32_t)));  // table and counters
    // And nothing on the device but table, counters and arena.
    EXPECT_EQ(on_cpu.device().device_allocations().size(), 3u);
  }
}

TEST(ExpertPoolTest, RefusesOptionsOutOfRange) {
  EXPECT_EQ(PoolOptions{.max_coverage = 1.5}.Validate().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(PoolOptions{.max_coverage = -0.1}.Validate().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(PoolOptions{.promotions_per_layer_token = -1}.Validate().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(PoolOptions{.batch_bytes = 0}.Validate().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(PoolOptions{}.Validate().ok());
}

class ExpertPoolDeathTest : public testing::Test {
 protected:
  // The device's threads run: the child starts the test anew instead of forking them.
  ExpertPoolDeathTest() { testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

TEST_F(ExpertPoolDeathTest, HardSlotsAreNeverReclaimed) {
  PoolOnCpu on_cpu({.hard_slots = 2, .soft_slots = 2});
  EXPECT_DEATH(on_cpu.pool().Reclaim(FrameId{1}, 2, FrameUse::kKv, on_cpu.stream()), "kSoftSlot");
}

TEST_F(ExpertPoolDeathTest, FramesChangeHandsBetweenStepsOnly) {
  PoolOnCpu on_cpu({.soft_slots = 2});
  on_cpu.pool().BeginStep(on_cpu.stream());
  EXPECT_DEATH(on_cpu.pool().Reclaim(FrameId{1}, 1, FrameUse::kKv, on_cpu.stream()), "kInStep");
  EXPECT_DEATH(on_cpu.pool().BeginStep(on_cpu.stream()), "kInStep");
}

}  // namespace
}  // namespace spearfish::worker
