#include <gtest/gtest.h>

#include <atomic>

#include "tests/unit/worker/engine/engine_fixture.h"

namespace spearfish::worker {
namespace {

class EngineStatsTest : public EngineTest {
 protected:
  // Not a local: the engine reads its clock after it says that it is idle.
  std::atomic<int64_t> milliseconds_{1'700'000'000'000};
};

TEST_F(EngineStatsTest, ShowsWhatRunsAndWhatWaits) {
  EngineStats during;
  Start({.max_num_seqs = 2}, {}, [&](const StepInput&) { during = engine_->stats(); });
  GenerationRequest request = MakeRequest("r", MakePrompt(6, 1), 3);
  request.num_sequences = 5;
  const Recorder recorder = Run(request);
  // In the last step the fifth sequence runs alone, with 8 tokens in 2 blocks.
  EXPECT_EQ(during.num_running, 1u);
  EXPECT_EQ(during.num_waiting, 0u);
  EXPECT_EQ(during.kv_blocks_used, 2u);
  EXPECT_EQ(during.kv_blocks_total, 1024u);
  const EngineStats after = engine_->stats();
  EXPECT_EQ(after.requests_total, 1u);
  EXPECT_EQ(after.prompt_tokens_total, 6u);
  EXPECT_EQ(after.generated_tokens_total, 15u);
  EXPECT_GE(after.steps_total, 9u);
  EXPECT_EQ(after.kv_blocks_used, 0u);
}

TEST_F(EngineStatsTest, CountsTheWaitingWhileAStepRuns) {
  std::vector<uint32_t> waiting;
  Start({.max_num_seqs = 1}, {},
        [&](const StepInput&) { waiting.push_back(engine_->stats().num_waiting); });
  GenerationRequest request = MakeRequest("r", MakePrompt(4, 1), 1);
  request.num_sequences = 3;
  Run(request);
  EXPECT_EQ(waiting, (std::vector<uint32_t>{2, 1, 0}));
}

TEST_F(EngineStatsTest, TokensPerSecondFollowTheClock) {
  // 50 steps a second, one token each.
  Start({.clock = [this] { return absl::FromUnixMillis(milliseconds_.load()); }}, {},
        [this](const StepInput&) { milliseconds_ += 20; });
  Run(MakeRequest("r", MakePrompt(4, 1), 91));
  EXPECT_NEAR(engine_->stats().tokens_per_second, 50, 3);
  milliseconds_ += 60'000;
  EXPECT_EQ(engine_->stats().tokens_per_second, 0);
}

TEST_F(EngineStatsTest, AnIdleEngineMakesNoSteps) {
  Start();
  Run(MakeRequest("r", {1}, 3));
  const uint64_t steps = engine_->stats().steps_total;
  EXPECT_EQ(steps, 3u);
  EXPECT_FALSE(engine_->Abort("r"));
  EXPECT_EQ(engine_->stats().steps_total, steps);
}

}  // namespace
}  // namespace spearfish::worker
