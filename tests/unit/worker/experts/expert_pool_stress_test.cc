// Steps that read every expert through the device's table while the pool changes under them in any
// order that its contract allows. SPEARFISH_STRESS_STEPS sets how many.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <random>
#include <vector>

#include "tests/unit/worker/experts/pool_on_cpu.h"

namespace spearfish::worker {
namespace {

using tests::PoolOnCpu;
using tests::PoolShape;

constexpr PoolShape kShape{
    .num_layers = 3, .num_experts = 9, .hard_slots = 3, .soft_slots = 12, .kv_frames = 2};
constexpr uint32_t kFirstSoft = 3;
constexpr uint32_t kNumFrames = 17;

int NumSteps() {
  const char* steps = std::getenv("SPEARFISH_STRESS_STEPS");
  return steps == nullptr ? 5000 : std::atoi(steps);
}

// Plays engine, model and memory owner: random work, all of it verified on the steps' stream.
class RandomEngine {
 public:
  RandomEngine(uint32_t seed, const PoolOptions& options)
      : on_cpu_(kShape, options), random_(seed) {
    for (uint32_t f = kNumFrames - kShape.kv_frames; f < kNumFrames; ++f) WriteForeign(f);
  }

  void Run(int num_steps) {
    on_cpu_.pool().Load(on_cpu_.stream());
    for (int step = 0; step < num_steps && wrong_reads_ == 0 && wrong_foreign_ == 0; ++step) {
      for (uint32_t i = Draw(3); i > 0; --i) ChangeSomething();
      Step();
    }
    Finish();
    on_cpu_.Settle();
  }

  PoolOnCpu& on_cpu() { return on_cpu_; }
  int wrong_reads() const { return wrong_reads_; }
  int wrong_foreign() const { return wrong_foreign_; }

 private:
  uint32_t Draw(uint32_t below) { return static_cast<uint32_t>(random_() % below); }

  // Makes one stream fall behind the other, so that missing waits show: work of up to a step's.
  void Delay(kernels::CpuStream& stream) {
    stream.Enqueue([this, turns = Draw(on_cpu_.num_records())] {
      for (RecordIndex r = 0; r < turns; ++r) {
        if (!on_cpu_.records().Is(r, on_cpu_.records().addresses()[r])) ++wrong_reads_;
      }
    });
  }

  void Step() {
    on_cpu_.pool().BeginStep(on_cpu_.stream());
    if (Draw(2) == 0) Delay(on_cpu_.stream());
    if (Draw(2) == 0) Delay(on_cpu_.copy_stream());
    on_cpu_.stream().Enqueue([this] {
      for (RecordIndex r = 0; r < on_cpu_.num_records(); ++r) {
        if (!on_cpu_.records().Is(r, on_cpu_.DeviceEntry(r))) ++wrong_reads_;
      }
    });
    // A hot set that drifts, so that promotions never end.
    if (Draw(50) == 0) hot_ = Draw(on_cpu_.num_records());
    on_cpu_.EnqueueRouting(
        {hot_, (hot_ + Draw(4)) % on_cpu_.num_records(), Draw(on_cpu_.num_records())});
    on_cpu_.pool().EndStep(on_cpu_.stream());
    ++unfinished_steps_;
    if (Draw(8) == 0) on_cpu_.pool().CancelLoads();
    if (Draw(8) == 0) on_cpu_.pool().StartReload();
    on_cpu_.pool().PlanNext();
    // Mostly as the engine does it; sometimes steps are enqueued ahead.
    if (unfinished_steps_ == 4 || Draw(3) > 0) Finish();
  }

  void Finish() {
    if (unfinished_steps_ == 0) return;
    on_cpu_.stream().Synchronize();
    on_cpu_.pool().FinishStep(unfinished_steps_);
    unfinished_steps_ = 0;
  }

  void ChangeSomething() {
    switch (Draw(7)) {
      case 0:
      case 1:
        return Reclaim();
      case 2:
      case 3:
        return Return();
      case 4:
        return on_cpu_.pool().StartReload();
      case 5:
        return on_cpu_.pool().CancelLoads();
      default:
        on_cpu_.pool().Maintain(on_cpu_.stream());
    }
  }

  // The longest run of frames from `begin` on, at most `length`, that are soft slots or are not.
  uint32_t LengthOfRun(uint32_t begin, uint32_t length, bool soft) const {
    uint32_t run = 0;
    while (run < length && begin + run < kNumFrames &&
           (on_cpu_.arena().use(FrameId{begin + run}) == FrameUse::kSoftSlot) == soft) {
      ++run;
    }
    return run;
  }

  void Reclaim() {
    const uint32_t begin = kFirstSoft + Draw(kNumFrames - kFirstSoft);
    const uint32_t length = LengthOfRun(begin, 1 + Draw(6), true);
    on_cpu_.pool().Reclaim(FrameId{begin}, length,
                           Draw(2) == 0 ? FrameUse::kKv : FrameUse::kWorkspace, on_cpu_.stream());
    for (uint32_t f = begin; f < begin + length; ++f) WriteForeign(f);
  }

  void Return() {
    const uint32_t begin = kFirstSoft + Draw(kNumFrames - kFirstSoft);
    const uint32_t length = LengthOfRun(begin, 1 + Draw(6), false);
    if (Draw(2) == 0) Delay(on_cpu_.stream());
    for (uint32_t f = begin; f < begin + length; ++f) ReadForeign(f);
    on_cpu_.pool().Return(FrameId{begin}, length, on_cpu_.stream());
  }

  // What the new owner of a frame does with it: nobody else may write there until it is returned.
  void WriteForeign(uint32_t frame) {
    on_cpu_.stream().Fill(on_cpu_.arena().address(FrameId{frame}), static_cast<uint8_t>(frame),
                          on_cpu_.arena().frame_bytes());
  }
  void ReadForeign(uint32_t frame) {
    on_cpu_.stream().Enqueue([this, frame] {
      const std::byte* bytes = on_cpu_.arena().address(FrameId{frame});
      for (uint64_t i = 0; i < on_cpu_.arena().frame_bytes(); ++i) {
        if (bytes[i] != std::byte(frame)) ++wrong_foreign_;
      }
    });
  }

  // Before the streams that count into them.
  std::atomic<int> wrong_reads_{0};
  std::atomic<int> wrong_foreign_{0};
  PoolOnCpu on_cpu_;
  std::mt19937 random_;
  uint32_t unfinished_steps_ = 0;
  RecordIndex hot_ = 0;
};

class ExpertPoolStressTest : public testing::TestWithParam<uint32_t> {};

TEST_P(ExpertPoolStressTest, EveryStepReadsEveryExpertsBytes) {
  // Small transfers, so that most loads are queued when something happens to them.
  RandomEngine engine(GetParam(), {.max_bytes_in_flight = uint64_t{4096} * (1 + 2 * GetParam()),
                                   .batch_bytes = uint64_t{4096} * (1 + GetParam())});
  engine.Run(NumSteps());
  EXPECT_EQ(engine.wrong_reads(), 0);
  EXPECT_EQ(engine.wrong_foreign(), 0);

  PoolOnCpu& on_cpu = engine.on_cpu();
  const PoolFigures figures = on_cpu.pool().figures();
  uint64_t num_resident = 0;
  for (RecordIndex r = 0; r < on_cpu.num_records(); ++r) {
    EXPECT_EQ(on_cpu.pool().resident(r), on_cpu.FrameOf(on_cpu.DeviceEntry(r)) >= 0);
    num_resident += on_cpu.pool().resident(r) ? 1 : 0;
  }
  EXPECT_EQ(figures.num_resident, num_resident);
  EXPECT_EQ(figures.num_loading, 0u);
  EXPECT_EQ(figures.frames.hard_slots, kShape.hard_slots);
  EXPECT_EQ(figures.frames.soft_slots + figures.frames.kv + figures.frames.workspace,
            kNumFrames - kShape.hard_slots);
  // Everything has happened, or the test shows nothing.
  EXPECT_GT(figures.reloads.count, 0u);
  EXPECT_GT(figures.promotions.count, 0u);
  EXPECT_GT(figures.reclaims.count, 0u);
  EXPECT_GT(figures.cancelled_loads, 0u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, ExpertPoolStressTest, testing::Values(0, 1, 2, 7));

}  // namespace
}  // namespace spearfish::worker
