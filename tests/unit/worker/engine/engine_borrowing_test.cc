// Steps that borrow a larger workspace, KV blocks that come and go: nobody can tell from the
// output.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <thread>

#include "tests/unit/worker/engine/engine_fixture.h"
#include "tests/unit/worker/kv/growing_block_source.h"

namespace spearfish::worker {
namespace {

const EngineOptions kOptions{
    .max_num_seqs = 8, .max_num_batched_tokens = 16, .max_prefill_chunk_tokens = 8};

// Base steps of 16 rows, 80 with borrowed frames; a small vocabulary: the fake computes every
// logit.
FakeModelOptions BorrowingModel() {
  FakeModelOptions options;
  options.language.vocab_size = 16;
  options.max_model_len = 200;
  options.max_step_tokens = 16;
  options.max_borrowed_step_tokens = 80;
  options.max_step_sequences = 8;
  return options;
}

class EngineBorrowingTest : public EngineTest {
 protected:
  GrowingBlockSource& MakeSource(uint32_t num_extents, uint32_t num_reserved,
                                 uint32_t blocks_per_extent) {
    engine_.reset();
    source_ = std::make_unique<GrowingBlockSource>(num_extents, num_reserved, blocks_per_extent);
    return *source_;
  }

  void StartRecording(const FakeModelOptions& model, const EngineOptions& options = kOptions) {
    Start(options, model, [this](const StepInput& input) {
      uint32_t rows = 0;
      for (const StepSequence& sequence : input.sequences) {
        rows += static_cast<uint32_t>(sequence.token_ids.size());
      }
      rows_.push_back(rows);
    });
  }

  void ExpectExact(const GenerationRequest& request, const Recorder& recorder) {
    const FakeLanguage language{.vocab_size = 16, .script = {}};
    EXPECT_EQ(recorder.sequence().tokens,
              ExpectedTokens(language, request, 0, request.stopping.max_tokens, {}));
  }

  // The engine gives back what is borrowed after it says that it is idle.
  void WaitForReturns(uint32_t num_returns) {
    const absl::Time deadline = absl::Now() + kLong;
    while (model_->num_returns() < num_returns && absl::Now() < deadline) {
      std::this_thread::yield();
    }
    EXPECT_EQ(model_->num_returns(), num_returns);
  }

  std::unique_ptr<GrowingBlockSource> source_;
  std::vector<uint32_t> rows_;  // of every step
};

TEST_F(EngineBorrowingTest, ALongPromptBorrowsOnceAndReturns) {
  StartRecording(BorrowingModel());
  const GenerationRequest request = MakeRequest("r", MakePrompt(190, 1, 16), 3);
  ExpectExact(request, Run(request));
  EXPECT_EQ(rows_, (std::vector<uint32_t>{80, 80, 30, 1, 1}));
  EXPECT_EQ(model_->num_borrows(), 1u);
  WaitForReturns(1);
}

TEST_F(EngineBorrowingTest, ABorrowThatIsTheLastStepIsReturnedWhenIdle) {
  StartRecording(BorrowingModel());
  Run(MakeRequest("r", MakePrompt(60, 1, 16), 1));
  EXPECT_EQ(rows_, std::vector<uint32_t>{60});
  WaitForReturns(1);
}

TEST_F(EngineBorrowingTest, TheRestOfAPromptIsComputedInABaseStep) {
  StartRecording(BorrowingModel());
  Run(MakeRequest("r", MakePrompt(168, 1, 16), 2));
  // After 160 tokens 8 are left: one base chunk.
  EXPECT_EQ(rows_, (std::vector<uint32_t>{80, 80, 8, 1}));
  EXPECT_EQ(model_->num_returns(), 1u);
}

TEST_F(EngineBorrowingTest, AShortPromptBorrowsNothing) {
  StartRecording(BorrowingModel());
  Run(MakeRequest("r", MakePrompt(16, 1, 16), 2));
  EXPECT_EQ(rows_, (std::vector<uint32_t>{8, 8, 1}));
  EXPECT_EQ(model_->num_borrows(), 0u);
  EXPECT_EQ(model_->num_returns(), 0u);
}

TEST_F(EngineBorrowingTest, GoesOnWithWhatIsGiven) {
  FakeModelOptions options = BorrowingModel();
  StartRecording(options);
  model_->set_grant([](uint32_t) { return 30u; });
  const GenerationRequest request = MakeRequest("r", MakePrompt(100, 1, 16), 2);
  ExpectExact(request, Run(request));
  EXPECT_EQ(rows_, (std::vector<uint32_t>{30, 30, 30, 10, 1}));
  WaitForReturns(1);
}

TEST_F(EngineBorrowingTest, NothingGivenIsABaseStep) {
  StartRecording(BorrowingModel());
  model_->set_grant([](uint32_t) { return 0u; });
  const GenerationRequest request = MakeRequest("r", MakePrompt(40, 1, 16), 2);
  ExpectExact(request, Run(request));
  // The step's 16 rows are granted in any case, to the one prompt that there is.
  EXPECT_EQ(rows_, (std::vector<uint32_t>{16, 16, 8, 1}));
}

TEST_F(EngineBorrowingTest, DecodeTokensRideAlong) {
  std::vector<size_t> sequences_of_borrowed;
  Start(kOptions, BorrowingModel(), [&](const StepInput& input) {
    size_t rows = 0;
    for (const StepSequence& sequence : input.sequences) rows += sequence.token_ids.size();
    if (rows > 16) sequences_of_borrowed.push_back(input.sequences.size());
  });
  const GenerationRequest small = MakeRequest("small", MakePrompt(4, 1, 16), 20);
  const GenerationRequest large = MakeRequest("large", MakePrompt(190, 2, 16), 2);
  Recorder decoding;
  Recorder prefilling;
  HoldSteps();
  Submit(small, decoding);
  Submit(large, prefilling);
  ReleaseSteps();
  ExpectIdleAndFree();
  ExpectExact(small, decoding);
  ExpectExact(large, prefilling);
  ASSERT_GE(sequences_of_borrowed.size(), 2u);
  EXPECT_EQ(sequences_of_borrowed.back(), 2u);
}

// The claim of KV comes before the larger step, or the prompt that it is for would never start.
TEST_F(EngineBorrowingTest, APromptTakesItsBlocksBeforeItsStepBorrows) {
  // Reserved: 80 tokens. A second prompt needs claimed extents.
  GrowingBlockSource& source = MakeSource(20, 4, 5);
  FakeModelOptions options = BorrowingModel();
  options.kv_blocks = &source;
  options.max_model_len = 80;
  options.max_borrowed_step_tokens = 160;
  StartRecording(options);
  uint32_t claimed_at_borrow = 0;
  model_->set_grant([&](uint32_t num_rows) {
    claimed_at_borrow = std::max(claimed_at_borrow, source.num_claimed());
    source.set_limit(source.num_claimed());  // the rest is workspace now
    return num_rows;
  });
  std::vector<Recorder> recorders(2);
  HoldSteps();
  // One that is in the held step, so that the two are planned together in the next.
  Recorder first;
  Submit(MakeRequest("first", MakePrompt(1, 9, 16), 1), first);
  while (engine_->stats().num_running == 0) std::this_thread::yield();
  for (uint32_t i = 0; i < 2; ++i) {
    Submit(MakeRequest(NumberedId(i), MakePrompt(70, i, 16), 4), recorders[i]);
  }
  ReleaseSteps();
  ExpectIdleAndFree();
  EXPECT_GE(claimed_at_borrow, 4u);
  ASSERT_GE(rows_.size(), 2u);
  EXPECT_EQ(rows_[1], 140u);
  for (const Recorder& recorder : recorders) EXPECT_EQ(recorder.num_finished(), 1u);
  engine_.reset();
  EXPECT_EQ(source.num_claimed(), 0u);
}

TEST_F(EngineBorrowingTest, ExtentsGoBackAsSequencesEnd) {
  GrowingBlockSource& source = MakeSource(20, 10, 5);
  FakeModelOptions options = BorrowingModel();
  options.kv_blocks = &source;
  std::vector<uint32_t> claimed;
  Start(kOptions, options, [&](const StepInput&) { claimed.push_back(source.num_claimed()); });
  std::vector<Recorder> recorders(5);
  HoldSteps();
  // 20 blocks each, five of them more than the 50 that are there for good; the first goes on alone.
  for (uint32_t i = 0; i < recorders.size(); ++i) {
    Submit(MakeRequest(NumberedId(i), MakePrompt(70, i, 16), i == 0 ? 100 : 8), recorders[i]);
  }
  ReleaseSteps();
  ExpectIdleAndFree();
  EXPECT_GE(*std::max_element(claimed.begin(), claimed.end()), 8u);
  // The first may have grown into one or two of them.
  EXPECT_LE(claimed.back(), 2u) << "while a sequence still ran";
  EXPECT_EQ(engine_->stats().kv_blocks_total, 100u);
}

TEST_F(EngineBorrowingTest, AnIdleEngineHoldsNoExtents) {
  GrowingBlockSource& source = MakeSource(20, 10, 5);
  FakeModelOptions options = BorrowingModel();
  options.kv_blocks = &source;
  uint32_t most = 0;
  Start(kOptions, options, [&](const StepInput&) { most = std::max(most, source.num_claimed()); });
  std::vector<Recorder> recorders(2);
  HoldSteps();
  for (uint32_t i = 0; i < recorders.size(); ++i) {
    Submit(MakeRequest(NumberedId(i), MakePrompt(150, i, 16), 8), recorders[i]);
  }
  ReleaseSteps();
  ExpectIdleAndFree();
  EXPECT_GT(most, 0u);
  const absl::Time deadline = absl::Now() + kLong;
  while (source.num_claimed() > 0 && absl::Now() < deadline) std::this_thread::yield();
  EXPECT_EQ(source.num_claimed(), 0u);
}

TEST_F(EngineBorrowingTest, GivesFramesBackRatherThanPreempt) {
  GrowingBlockSource& source = MakeSource(20, 10, 5);
  FakeModelOptions options = BorrowingModel();
  options.kv_blocks = &source;
  StartRecording(options);
  // Whoever borrows has all frames that KV does not have.
  model_->set_grant([&](uint32_t num_rows) {
    source.set_limit(source.num_claimed());
    return num_rows;
  });
  model_->set_on_return([&] { source.set_limit(10); });
  // The first chunk of the second fills every block that KV then has; the first grows meanwhile.
  const GenerationRequest growing = MakeRequest("growing", MakePrompt(20, 1, 16), 99);
  const GenerationRequest long_one = MakeRequest("long", MakePrompt(198, 2, 16), 2);
  Recorder first;
  Recorder second;
  HoldSteps();
  Submit(growing, first);
  Submit(long_one, second);
  ReleaseSteps();
  ASSERT_TRUE(engine_->WaitIdle(kLong));
  ExpectExact(growing, first);
  ExpectExact(long_one, second);
  EXPECT_EQ(std::accumulate(rows_.begin(), rows_.end(), 0u), 20u + 98 + 198 + 1)
      << "something was computed twice";
  EXPECT_GE(model_->num_borrows(), 2u);
  engine_.reset();
}

TEST_F(EngineBorrowingTest, AnIdleEngineLooksAfterCopiesUntilThereAreNone) {
  FakeModelOptions options = BorrowingModel();
  model_ = std::make_unique<FakeModel>(options);
  model_->set_num_copies(5);
  auto engine = Engine::Create(kOptions, *model_, tokenizer_);
  ASSERT_TRUE(engine.ok()) << engine.status();
  engine_ = *std::move(engine);
  const absl::Time deadline = absl::Now() + kLong;
  while (model_->num_maintains() < 6 && absl::Now() < deadline) std::this_thread::yield();
  EXPECT_EQ(model_->num_maintains(), 6u);
  // It sleeps now; a request wakes it, and afterwards it looks once more.
  Recorder recorder;
  Submit(MakeRequest("r", MakePrompt(4, 1, 16), 2), recorder);
  ASSERT_TRUE(engine_->WaitIdle(kLong));
  while (model_->num_maintains() < 7 && absl::Now() < deadline) std::this_thread::yield();
  EXPECT_EQ(model_->num_maintains(), 7u);
  engine_.reset();
  EXPECT_EQ(model_->num_maintains(), 7u);
}

// Extents that come and go at random, grants of a random part, traffic from several threads: every
// request ends, with exactly its tokens, on blocks that were there.
TEST_F(EngineBorrowingTest, RandomFramesAndTrafficChangeNothing) {
  constexpr uint32_t kPerThread = 60;
  constexpr uint32_t kThreads = 2;
  constexpr uint32_t kClaimable = 12;
  for (const uint32_t seed : {1u, 2u, 3u}) {
    std::mt19937 frames(seed);
    // Reserved: just the 20 blocks of one sequence of 80 tokens.
    GrowingBlockSource& source = MakeSource(4 + kClaimable, 4, 5);
    FakeModelOptions options = BorrowingModel();
    options.kv_blocks = &source;
    options.max_model_len = 80;
    Start(kOptions, options, [&](const StepInput& input) {
      for (const StepSequence& sequence : input.sequences) {
        for (const uint32_t block : sequence.block_table) {
          EXPECT_TRUE(source.has_block(block)) << "block " << block << " is no KV any more";
        }
      }
      if (frames() % 4 == 0) source.set_limit(frames() % (kClaimable + 1));
      std::vector<uint32_t> order(kClaimable);
      for (uint32_t i = 0; i < kClaimable; ++i) order[i] = 4 + i;
      std::shuffle(order.begin(), order.end(), frames);
      source.set_order(order);
    });
    model_->set_grant([&](uint32_t num_rows) {
      source.set_limit(frames() % (kClaimable + 1));
      return 1 + frames() % num_rows;
    });
    model_->set_on_return([&] { source.set_limit(kClaimable); });
    std::vector<Recorder> recorders(size_t{kPerThread} * kThreads);
    std::vector<GenerationRequest> requests(recorders.size());
    const auto traffic = [&](uint32_t thread) {
      std::mt19937 random(seed * 100 + thread);
      for (uint32_t i = thread * kPerThread; i < (thread + 1) * kPerThread; ++i) {
        requests[i] =
            MakeRequest(NumberedId(i), MakePrompt(1 + random() % 60, i, 16), 1 + random() % 20);
        requests[i].priority = static_cast<int32_t>(random() % 3);
        if (random() % 4 == 0) requests[i].output.prompt_logprobs = 1;
        Submit(requests[i], recorders[i]);
        if (random() % 10 == 0) engine_->Abort(NumberedId(i));
      }
    };
    std::vector<std::thread> threads;
    for (uint32_t t = 0; t < kThreads; ++t) threads.emplace_back(traffic, t);
    for (std::thread& thread : threads) thread.join();
    ExpectIdleAndFree();
    const FakeLanguage language{.vocab_size = 16, .script = {}};
    for (size_t i = 0; i < recorders.size(); ++i) {
      const RecordedSequence& sequence = recorders[i].sequence();
      ASSERT_TRUE(sequence.finished.has_value());
      std::vector<TokenId> expected =
          ExpectedTokens(language, requests[i], 0, requests[i].stopping.max_tokens, {});
      if (sequence.finished->reason == FinishReason::kAborted) {
        expected.resize(std::min(expected.size(), sequence.tokens.size()));
      }
      EXPECT_EQ(sequence.tokens, expected);
    }
    EXPECT_GT(model_->num_borrows(), 0u);
    EXPECT_GT(model_->num_returns(), 0u);
    engine_.reset();
    EXPECT_GT(source.num_claims(), 0u);
    EXPECT_EQ(source.num_claimed(), 0u);
  }
}

}  // namespace
}  // namespace spearfish::worker
