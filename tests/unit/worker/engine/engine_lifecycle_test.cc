// Requests that come, wait, are called off or run out of time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "tests/unit/worker/engine/engine_fixture.h"

namespace spearfish::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class FakeClock {
 public:
  std::function<absl::Time()> function() {
    return [this] { return absl::FromUnixSeconds(seconds_.load()); };
  }
  absl::Time now() { return absl::FromUnixSeconds(seconds_.load()); }
  void Advance(int64_t seconds) { seconds_ += seconds; }

 private:
  std::atomic<int64_t> seconds_{1'700'000'000};
};

class EngineLifecycleTest : public EngineTest {
 protected:
  FakeClock clock_;  // not a local: the engine reads it after it says that it is idle
};

TEST_F(EngineLifecycleTest, LargerPriorityStartsFirstThenFirstCome) {
  std::vector<std::string> order;
  bool queued = false;
  std::vector<Recorder> recorders(5);
  const auto submit = [&](size_t i, const char* id, int32_t priority) {
    GenerationRequest request = MakeRequest(id, MakePrompt(4, i), 2);
    request.priority = priority;
    const absl::Status status =
        engine_->Submit(request, recorders[i].Sink([&order, id](const EngineEvent& event) {
          if (std::holds_alternative<PromptDone>(event)) order.emplace_back(id);
        }));
    EXPECT_TRUE(status.ok()) << status;
  };
  // All but the first are submitted while it runs.
  Start({.max_num_seqs = 1}, {}, [&](const StepInput&) {
    if (queued) return;
    queued = true;
    submit(1, "low", -1);
    submit(2, "normal", 0);
    submit(3, "high", 5);
    submit(4, "high too", 5);
  });
  submit(0, "first", 0);
  ExpectIdleAndFree();
  EXPECT_THAT(order, ElementsAre("first", "high", "high too", "normal", "low"));
}

TEST_F(EngineLifecycleTest, AbortInDecodeTakesEffectWithinAStep) {
  size_t steps = 0;
  Start({}, {}, [&](const StepInput&) {
    if (++steps == 4) {
      EXPECT_TRUE(engine_->Abort("r"));
    }
  });
  const Recorder recorder = Run(MakeRequest("r", MakePrompt(4, 1), 60));
  EXPECT_EQ(recorder.sequence().tokens.size(), 4u);
  EXPECT_EQ(recorder.sequence().finished->reason, FinishReason::kAborted);
  EXPECT_EQ(recorder.sequence().finished->num_completion_tokens, 4u);
  EXPECT_TRUE(recorder.sink_destroyed());
  EXPECT_FALSE(engine_->Abort("r")) << "it isn't live any more";
  ExpectIdleAndFree();
}

TEST_F(EngineLifecycleTest, AbortInPrefill) {
  Start({.max_prefill_chunk_tokens = 2}, {}, [&](const StepInput&) { engine_->Abort("r"); });
  GenerationRequest request = MakeRequest("r", MakePrompt(40, 1), 5);
  request.num_sequences = 3;
  const Recorder recorder = Run(request);
  EXPECT_FALSE(recorder.prompt().has_value());
  EXPECT_EQ(recorder.num_finished(), 3u);
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(recorder.sequence(i).finished->reason, FinishReason::kAborted);
    EXPECT_THAT(recorder.sequence(i).tokens, IsEmpty());
  }
  ExpectIdleAndFree();
}

TEST_F(EngineLifecycleTest, AbortWhileWaiting) {
  size_t steps = 0;
  Start({.max_num_seqs = 1}, {}, [&](const StepInput&) {
    if (++steps == 3) {
      EXPECT_TRUE(engine_->Abort("waiting"));
    }
  });
  Recorder running;
  Recorder waiting;
  HoldSteps();
  Submit(MakeRequest("running", MakePrompt(4, 1), 20), running);
  Submit(MakeRequest("waiting", MakePrompt(4, 2), 20), waiting);
  ReleaseSteps();
  ExpectIdleAndFree();
  EXPECT_EQ(running.sequence().tokens.size(), 20u);
  EXPECT_EQ(waiting.num_events(), 1u);
  EXPECT_EQ(waiting.sequence().finished->reason, FinishReason::kAborted);
}

TEST_F(EngineLifecycleTest, AbortOfAnUnknownIdTellsSo) {
  Start();
  EXPECT_FALSE(engine_->Abort("nobody"));
}

TEST_F(EngineLifecycleTest, ALiveIdIsRefusedAndFreeAgainAtTheLastEvent) {
  absl::Status second;
  bool submitted = false;
  Recorder again;
  Start({}, {}, [&](const StepInput&) {
    if (second.ok() && !submitted) {
      second = engine_->Submit(MakeRequest("r", {1}), Recorder().Sink());
    }
  });
  Recorder recorder;
  ASSERT_TRUE(engine_
                  ->Submit(MakeRequest("r", MakePrompt(4, 1), 3),
                           recorder.Sink([&](const EngineEvent& event) {
                             if (!std::holds_alternative<SequenceFinished>(event)) return;
                             submitted = true;
                             const absl::Status status = engine_->Submit(
                                 MakeRequest("r", MakePrompt(4, 2), 3), again.Sink());
                             EXPECT_TRUE(status.ok()) << status;
                           }))
                  .ok());
  ExpectIdleAndFree();
  EXPECT_EQ(second.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(again.sequence().tokens.size(), 3u);
}

TEST_F(EngineLifecycleTest, DeadlineEndsWhatRunsAndWhatWaits) {
  size_t steps = 0;
  Start({.max_num_seqs = 1, .clock = clock_.function()}, {}, [&](const StepInput&) {
    if (++steps == 5) clock_.Advance(10);
  });
  std::vector<Recorder> recorders(4);
  const std::vector<absl::Time> deadlines = {
      clock_.now() + absl::Seconds(10), clock_.now() + absl::Seconds(9), absl::InfiniteFuture(),
      clock_.now() + absl::Seconds(11)};
  HoldSteps();
  for (size_t i = 0; i < recorders.size(); ++i) {
    GenerationRequest request = MakeRequest(NumberedId(i), MakePrompt(4, i), 20);
    request.deadline = deadlines[i];
    Submit(request, recorders[i]);
  }
  ReleaseSteps();
  ExpectIdleAndFree();
  EXPECT_EQ(recorders[0].failure().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(recorders[0].sequence().tokens.size(), 5u) << "ends within one step";
  EXPECT_EQ(recorders[1].failure().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(recorders[1].num_events(), 1u);
  EXPECT_TRUE(recorders[1].sink_destroyed());
  EXPECT_EQ(recorders[2].sequence().tokens.size(), 20u);
  EXPECT_EQ(recorders[3].sequence().tokens.size(), 20u);
}

TEST_F(EngineLifecycleTest, ADeadlineInThePastFailsBeforeAnyStep) {
  size_t steps = 0;
  Start({}, {}, [&](const StepInput&) { ++steps; });
  GenerationRequest request = MakeRequest("r", {1, 2}, 4);
  request.deadline = absl::Now() - absl::Seconds(1);
  EXPECT_EQ(Run(request).failure().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(steps, 0u);
}

TEST_F(EngineLifecycleTest, DrainRefusesNewOnesAndFinishesTheRest) {
  Recorder refused;
  absl::Status status;
  bool drained = false;
  Start({.max_num_seqs = 1}, {}, [&](const StepInput&) {
    if (drained) return;
    drained = true;
    engine_->Drain();
    status = engine_->Submit(MakeRequest("late", {1}), refused.Sink());
  });
  Recorder running;
  EXPECT_FALSE(engine_->draining());
  // Its second sequence still waits when the drain begins.
  GenerationRequest both = MakeRequest("both", MakePrompt(4, 1), 9);
  both.num_sequences = 2;
  Submit(both, running);
  ExpectIdleAndFree();
  EXPECT_TRUE(engine_->draining());
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(running.num_finished(), 2u);
  EXPECT_EQ(running.sequence(1).tokens.size(), 9u);
  EXPECT_TRUE(refused.sink_destroyed());
}

TEST_F(EngineLifecycleTest, DestructionFailsWhatIsLive) {
  std::atomic<bool> started{false};
  // So long that it can't end by itself: a fake step reads the whole cache again.
  Start({.max_num_seqs = 1}, {.max_model_len = 1 << 20, .num_kv_blocks = 1 << 18},
        [&](const StepInput&) {
          started = true;
          started.notify_all();
        });
  Recorder running;
  Recorder waiting;
  Submit(MakeRequest("running", MakePrompt(4, 1), 0), running);
  Submit(MakeRequest("waiting", MakePrompt(4, 2), 0), waiting);
  started.wait(false);
  engine_.reset();
  EXPECT_EQ(running.failure().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(waiting.failure().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(running.sink_destroyed());
  EXPECT_TRUE(waiting.sink_destroyed());
}

TEST_F(EngineLifecycleTest, AFullQueueRefuses) {
  std::vector<absl::Status> statuses;
  std::vector<Recorder> recorders(6);
  Start({.max_num_seqs = 1, .max_num_waiting = 3}, {}, [&](const StepInput&) {
    if (!statuses.empty()) return;
    GenerationRequest pair = MakeRequest("pair", {1, 2}, 2);
    pair.num_sequences = 2;
    statuses.push_back(engine_->Submit(pair, recorders[0].Sink()));
    statuses.push_back(engine_->Submit(pair, recorders[1].Sink()));
    pair.request_id = "another pair";
    statuses.push_back(engine_->Submit(pair, recorders[2].Sink()));
    statuses.push_back(engine_->Submit(MakeRequest("one", {1, 2}, 2), recorders[3].Sink()));
    statuses.push_back(engine_->Submit(MakeRequest("two", {1, 2}, 2), recorders[4].Sink()));
  });
  Submit(MakeRequest("first", {1, 2}, 2), recorders[5]);
  ExpectIdleAndFree();
  ASSERT_EQ(statuses.size(), 5u);
  EXPECT_TRUE(statuses[0].ok()) << statuses[0];
  EXPECT_EQ(statuses[1].code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(statuses[2].code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(statuses[3].ok()) << statuses[3];
  EXPECT_EQ(statuses[4].code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(recorders[0].num_finished(), 2u);
  EXPECT_EQ(recorders[3].num_finished(), 1u);
}

TEST_F(EngineLifecycleTest, WaitIdleGivesUpWhenTheTimeHasPassed) {
  std::atomic<bool> stop{false};
  Start({}, {}, [&](const StepInput&) { stop.wait(false); });
  EXPECT_TRUE(engine_->WaitIdle(absl::ZeroDuration()));
  Recorder recorder;
  Submit(MakeRequest("r", {1}, 2), recorder);
  EXPECT_FALSE(engine_->WaitIdle(absl::Milliseconds(1)));
  stop = true;
  stop.notify_all();
  EXPECT_TRUE(engine_->WaitIdle(absl::InfiniteDuration()));
}

}  // namespace
}  // namespace spearfish::worker
