// Many requests at once, from many threads.
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "tests/unit/worker/engine/engine_fixture.h"

namespace spearfish::worker {
namespace {

class EngineStressTest : public EngineTest {};

// A small vocabulary: the fake computes every logit.
FakeModelOptions SmallModel() {
  FakeModelOptions options;
  options.language.vocab_size = 16;
  options.max_model_len = 48;
  return options;
}

TEST_F(EngineStressTest, FiveThousandAtOnceRunOrAreRefused) {
  constexpr uint32_t kRequests = 5000;
  constexpr uint32_t kThreads = 4;
  constexpr uint32_t kWaiting = 1000;
  Start({.max_num_seqs = 32, .max_num_waiting = kWaiting}, SmallModel());
  HoldSteps();
  std::vector<Recorder> recorders(kRequests);
  std::vector<absl::Status> statuses(kRequests);
  const auto request = [](uint32_t i) {
    return MakeRequest(NumberedId(i), MakePrompt(1 + i % 5, i, 16), 1 + i % 4);
  };
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (uint32_t i = t; i < kRequests; i += kThreads) {
        statuses[i] = engine_->Submit(request(i), recorders[i].Sink());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ReleaseSteps();
  ExpectIdleAndFree();
  uint32_t accepted = 0;
  const FakeLanguage language{.vocab_size = 16, .script = {}};
  for (uint32_t i = 0; i < kRequests; ++i) {
    if (!statuses[i].ok()) {
      EXPECT_EQ(statuses[i].code(), absl::StatusCode::kResourceExhausted) << statuses[i];
      EXPECT_EQ(recorders[i].num_events(), 0u);
      continue;
    }
    ++accepted;
    EXPECT_EQ(recorders[i].sequence().tokens,
              ExpectedTokens(language, request(i), 0, 1 + i % 4, {}));
  }
  // The first step takes what has come by then, up to 32; all others wait.
  EXPECT_GE(accepted, kWaiting);
  EXPECT_LE(accepted, kWaiting + 32);
}

// Submits, aborts, deadlines and stats from several threads on a cache that is far too small. What
// was not cut short has exactly its tokens; what was has the first of them.
TEST_F(EngineStressTest, RandomTrafficLeavesNothingBehind) {
  constexpr uint32_t kPerThread = 120;
  constexpr uint32_t kThreads = 3;
  FakeModelOptions model = SmallModel();
  model.num_kv_blocks = 20;
  Start({.max_num_seqs = 8, .max_num_batched_tokens = 20, .max_prefill_chunk_tokens = 6}, model);
  std::vector<Recorder> recorders(size_t{kPerThread} * kThreads);
  std::vector<GenerationRequest> requests(recorders.size());
  const auto traffic = [&](uint32_t thread) {
    std::mt19937 random(thread);
    for (uint32_t i = thread * kPerThread; i < (thread + 1) * kPerThread; ++i) {
      GenerationRequest& request = requests[i];
      request = MakeRequest(NumberedId(i), MakePrompt(1 + random() % 30, i, 16), 1 + random() % 17);
      request.num_sequences = 1 + random() % 3;
      request.priority = static_cast<int32_t>(random() % 3);
      request.sampling.temperature = random() % 2 == 0 ? 0.0f : 1.0f;
      request.sampling.seed = i;
      if (random() % 3 == 0) request.output.prompt_logprobs = 1;
      if (random() % 8 == 0) request.deadline = absl::Now() + absl::Milliseconds(random() % 20);
      Submit(request, recorders[i]);
      if (random() % 4 == 0) engine_->Abort(NumberedId(i - random() % 4));
      if (random() % 16 == 0) engine_->stats();
    }
  };
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < kThreads; ++t) threads.emplace_back(traffic, t);
  for (std::thread& thread : threads) thread.join();
  ExpectIdleAndFree();
  const FakeLanguage language{.vocab_size = 16, .script = {}};
  for (size_t i = 0; i < recorders.size(); ++i) {
    const Recorder& recorder = recorders[i];
    EXPECT_TRUE(recorder.sink_destroyed());
    EXPECT_TRUE(!recorder.failure().ok() || recorder.num_finished() == requests[i].num_sequences);
    for (uint32_t s = 0; s < requests[i].num_sequences; ++s) {
      const RecordedSequence& sequence = recorder.sequence(s);
      std::vector<TokenId> expected =
          ExpectedTokens(language, requests[i], s, requests[i].stopping.max_tokens, {});
      ASSERT_LE(sequence.tokens.size(), expected.size());
      const bool whole = sequence.finished && sequence.finished->reason == FinishReason::kLength;
      if (!whole) expected.resize(sequence.tokens.size());
      EXPECT_EQ(sequence.tokens, expected);
    }
  }
}

}  // namespace
}  // namespace spearfish::worker
