#include "worker/engine/engine_timings.h"

#include <gtest/gtest.h>

#include <atomic>

#include "tests/unit/worker/engine/engine_fixture.h"

namespace spearfish::worker {
namespace {

// Every step takes 100 ms and nothing else takes any time.
class EngineTimingsTest : public EngineTest {
 protected:
  void StartTimed(EngineOptions options = {}, FakeModelOptions model = {}) {
    options.clock = [this] { return absl::FromUnixMillis(milliseconds_.load()); };
    Start(options, std::move(model), [this](const StepInput&) { milliseconds_ += 100; });
  }
  void ExpectTimes(const Histogram& histogram, uint64_t count, double sum) {
    EXPECT_EQ(histogram.value().count(), count);
    EXPECT_NEAR(histogram.value().sum, sum, 1e-6);
  }

  std::atomic<int64_t> milliseconds_{1'700'000'000'000};
};

TEST_F(EngineTimingsTest, SplitTheTimeOfASequence) {
  StartTimed({.max_prefill_chunk_tokens = 4});
  Run(MakeRequest("r", MakePrompt(8, 1), 5));  // 2 steps of prefill, then 4 of decode
  const EngineTimings& timings = engine_->timings();
  ExpectTimes(timings.queue, 1, 0);
  ExpectTimes(timings.prefill, 1, 0.2);
  ExpectTimes(timings.first_token, 1, 0.2);
  ExpectTimes(timings.inter_token, 4, 0.4);
  ExpectTimes(timings.decode, 1, 0.4);
  ExpectTimes(timings.whole, 1, 0.6);
  ExpectTimes(timings.step, 6, 0.6);
  EXPECT_EQ(timings.finished_with(FinishReason::kLength).value(), 1u);
}

TEST_F(EngineTimingsTest, QueueingCountsUntilTheFirstStep) {
  StartTimed({.max_num_seqs = 1});
  GenerationRequest request = MakeRequest("r", MakePrompt(4, 1), 3);
  Recorder first;
  Recorder second;
  HoldSteps();
  Submit(request, first);
  request.request_id = std::string("s");  // GCC 12 warns of a literal here
  Submit(request, second);
  ReleaseSteps();
  ASSERT_TRUE(engine_->WaitIdle(kLong));
  ExpectTimes(engine_->timings().queue, 2, 0.3);
  ExpectTimes(engine_->timings().prefill, 2, 0.2);
  ExpectTimes(engine_->timings().whole, 2, 0.9);
}

TEST_F(EngineTimingsTest, AResumedSequenceHasNoFirstToken) {
  StartTimed();
  const Recorder whole = Run(MakeRequest("r", MakePrompt(4, 1), 6));
  GenerationRequest request = MakeRequest("s", MakePrompt(4, 1), 6);
  const std::vector<TokenId>& tokens = whole.sequence().tokens;
  request.resumed = {{.generated = {tokens.begin(), tokens.begin() + 2}}};
  Run(request);
  ExpectTimes(engine_->timings().first_token, 1, 0.1);
  ExpectTimes(engine_->timings().prefill, 2, 0.2);
  ExpectTimes(engine_->timings().inter_token, 5 + 3, 0.8);
}

TEST_F(EngineTimingsTest, EndsAreCountedByTheirReason) {
  StartTimed();
  Recorder aborted;
  HoldSteps();
  Submit(MakeRequest("a", MakePrompt(4, 1), 50), aborted);
  EXPECT_TRUE(engine_->Abort("a"));
  ReleaseSteps();
  ASSERT_TRUE(engine_->WaitIdle(kLong));
  GenerationRequest late = MakeRequest("late", MakePrompt(4, 1), 50);
  late.num_sequences = 2;
  late.deadline = absl::FromUnixMillis(milliseconds_.load()) + absl::Milliseconds(150);
  Recorder failed;
  Submit(late, failed);
  ASSERT_TRUE(engine_->WaitIdle(kLong));
  const EngineTimings& timings = engine_->timings();
  EXPECT_EQ(timings.finished_with(FinishReason::kAborted).value(), 1u);
  EXPECT_EQ(timings.failed.value(), 2u);
  EXPECT_EQ(timings.finished_with(FinishReason::kLength).value(), 0u);
  ExpectTimes(timings.whole, 0, 0);
}

TEST_F(EngineTimingsTest, APreemptedSequenceQueuesOnce) {
  // Blocks for one sequence to its end, or for two to begin.
  StartTimed({}, {.max_model_len = 32, .num_kv_blocks = 10});
  Recorder recorders[2];
  HoldSteps();
  for (size_t i = 0; i < 2; ++i) {
    Submit(MakeRequest(NumberedId(i), MakePrompt(8, i), 20), recorders[i]);
  }
  ReleaseSteps();
  ASSERT_TRUE(engine_->WaitIdle(kLong));
  const EngineTimings& timings = engine_->timings();
  EXPECT_GT(timings.preemptions.value(), 0u);
  EXPECT_EQ(timings.queue.value().count(), 2u);
  EXPECT_EQ(timings.inter_token.value().count(), 2u * 19);
  EXPECT_EQ(timings.finished_with(FinishReason::kLength).value(), 2u);
}

}  // namespace
}  // namespace spearfish::worker
