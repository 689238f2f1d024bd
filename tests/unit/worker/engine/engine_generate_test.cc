// What comes out: tokens, log-probabilities and usage, whatever the batch and the chunks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/worker/engine/engine_fixture.h"

namespace spearfish::worker {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

// 32 requests that differ in length and use every way of sampling.
std::vector<GenerationRequest> MixedRequests() {
  std::vector<GenerationRequest> requests;
  for (uint32_t i = 0; i < 32; ++i) {
    GenerationRequest request =
        MakeRequest(NumberedId(i), MakePrompt(1 + 7 * i % 50, i), 1 + i % 23);
    SamplingParams& sampling = request.sampling;
    sampling.seed = i;
    if (i % 2 == 1) sampling.temperature = 0.5f + 0.1f * static_cast<float>(i % 8);
    if (i % 3 == 1) sampling.top_k = 5;
    if (i % 4 == 1) sampling.top_p = 0.8f;
    if (i % 5 == 1) sampling.min_p = 0.05f;
    if (i % 4 == 2) sampling.presence_penalty = 1.5f;
    if (i % 4 == 3) sampling.frequency_penalty = -1;
    if (i % 6 == 2) sampling.repetition_penalty = 1.7f;
    if (i % 5 == 3) sampling.logit_bias = {{3, 5.0f}, {9, -100.0f}};
    if (i % 7 == 3) request.stopping.stop_token_ids = {1, 2, 3, 4, 5, 6, 7, 8};
    if (i % 7 == 3) request.stopping.min_tokens = request.stopping.max_tokens / 2;
    requests.push_back(std::move(request));
  }
  return requests;
}

std::vector<TokenId> Expected(const GenerationRequest& request, uint32_t index = 0) {
  return ExpectedTokens(FakeLanguage(), request, index, request.stopping.max_tokens, {});
}

class EngineGenerateTest : public EngineTest {};

TEST_F(EngineGenerateTest, GeneratesWhatTheModelSays) {
  Start();
  for (const GenerationRequest& request : MixedRequests()) {
    const Recorder recorder = Run(request);
    EXPECT_EQ(recorder.sequence().tokens, Expected(request)) << request.request_id;
    ASSERT_TRUE(recorder.sequence().finished.has_value());
    EXPECT_TRUE(recorder.sink_destroyed());
  }
  ExpectIdleAndFree();
}

TEST_F(EngineGenerateTest, OutputDoesNotDependOnTheBatchOrTheChunks) {
  for (const uint32_t chunk : {1u, 3u, 7u, 64u}) {
    for (const uint32_t batched : {32u, 45u, 512u}) {
      Start({.max_num_seqs = 32,
             .max_num_batched_tokens = batched,
             .max_prefill_chunk_tokens = chunk});
      const std::vector<GenerationRequest> requests = MixedRequests();
      std::vector<Recorder> recorders(requests.size());
      for (size_t i = 0; i < requests.size(); ++i) Submit(requests[i], recorders[i]);
      ExpectIdleAndFree();
      for (size_t i = 0; i < requests.size(); ++i) {
        EXPECT_EQ(recorders[i].sequence().tokens, Expected(requests[i]))
            << requests[i].request_id << " chunk " << chunk << " batched " << batched;
      }
    }
  }
}

TEST_F(EngineGenerateTest, TellsOfThePromptFirstAndOfTheEndLast) {
  Start();
  const Recorder recorder = Run(MakeRequest("r", MakePrompt(10, 1), 5));
  ASSERT_TRUE(recorder.prompt().has_value());
  EXPECT_EQ(recorder.prompt()->num_prompt_tokens, 10u);
  EXPECT_EQ(recorder.prompt()->num_cached_tokens, 0u);
  EXPECT_THAT(recorder.prompt()->logprobs, IsEmpty());
  const SequenceFinished& finished = *recorder.sequence().finished;
  EXPECT_EQ(finished.reason, FinishReason::kLength);
  EXPECT_EQ(finished.num_prompt_tokens, 10u);
  EXPECT_EQ(finished.num_completion_tokens, 5u);
  EXPECT_EQ(recorder.num_events(), 7u);
  EXPECT_EQ(recorder.sequence().text, "") << "text was not asked for";
  EXPECT_THAT(recorder.sequence().logprobs, IsEmpty());
}

TEST_F(EngineGenerateTest, SequencesOfARequestUseTheirOwnSeeds) {
  Start({.max_num_seqs = 4, .max_num_batched_tokens = 16, .max_prefill_chunk_tokens = 5});
  GenerationRequest request = MakeRequest("r", MakePrompt(17, 5), 12);
  request.num_sequences = 7;
  request.sampling.temperature = 1;
  request.sampling.seed = 99;
  const Recorder recorder = Run(request);
  EXPECT_EQ(recorder.num_finished(), 7u);
  EXPECT_TRUE(recorder.prompt().has_value());
  for (uint32_t i = 0; i < 7; ++i) {
    EXPECT_EQ(recorder.sequence(i).tokens, Expected(request, i)) << i;
    EXPECT_EQ(recorder.sequence(i).finished->index, i);
  }
  EXPECT_NE(recorder.sequence(0).tokens, recorder.sequence(1).tokens);
  ExpectIdleAndFree();
}

TEST_F(EngineGenerateTest, FillsTheModelsWholeLength) {
  Start();
  GenerationRequest request = MakeRequest("full", MakePrompt(95, 3), 0);
  const Recorder recorder = Run(request);
  EXPECT_THAT(recorder.sequence().tokens, SizeIs(1));
  EXPECT_EQ(recorder.sequence().finished->reason, FinishReason::kLength);

  request.request_id = "longer";
  request.prompt = MakePrompt(96, 3);
  const absl::Status status = engine_->Submit(request, Recorder().Sink());
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("at most 95 tokens"));
}

TEST_F(EngineGenerateTest, MaxTokensDefaultsToWhatIsLeft) {
  Start();
  const Recorder recorder = Run(MakeRequest("r", MakePrompt(40, 3), 0));
  EXPECT_THAT(recorder.sequence().tokens, SizeIs(56));
}

TEST_F(EngineGenerateTest, RefusesAPromptThatTheCacheCanNeverHold) {
  Start({}, {.language = {}, .num_kv_blocks = 5, .kv_block_tokens = 4});
  const absl::Status status =
      engine_->Submit(MakeRequest("r", MakePrompt(20, 1)), Recorder().Sink());
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  const Recorder recorder = Run(MakeRequest("r", MakePrompt(19, 1), 0));
  EXPECT_THAT(recorder.sequence().tokens, SizeIs(1));
}

void ExpectSame(const PositionLogprobs& actual, const PositionLogprobs& expected) {
  EXPECT_EQ(actual.chosen.token, expected.chosen.token);
  EXPECT_EQ(actual.chosen.logprob, expected.chosen.logprob);
  EXPECT_EQ(actual.rank, expected.rank);
  ASSERT_EQ(actual.top.size(), expected.top.size());
  for (size_t i = 0; i < actual.top.size(); ++i) {
    EXPECT_EQ(actual.top[i].token, expected.top[i].token);
    EXPECT_EQ(actual.top[i].logprob, expected.top[i].logprob);
  }
}

// The log-probabilities of tokens [begin, end) given those before them.
void ExpectLogprobs(const std::vector<PositionLogprobs>& actual, const std::vector<TokenId>& tokens,
                    size_t begin, uint32_t top_n) {
  ASSERT_EQ(actual.size(), tokens.size() - begin);
  for (size_t p = begin; p < tokens.size(); ++p) {
    const std::span<const TokenId> before(tokens.data(), p);
    const std::vector<float> logits =
        FakeLanguage().Logits(StateOf(before), static_cast<uint32_t>(p));
    ExpectSame(actual[p - begin], LogprobsOf(logits, tokens[p], top_n));
  }
}

TEST_F(EngineGenerateTest, LogprobsOfGeneratedTokensHaveTheTopThatIsAskedFor) {
  Start({.max_prefill_chunk_tokens = 4});
  const std::vector<uint32_t> top_ns = {0, 3, 64};
  std::vector<Recorder> recorders(top_ns.size() + 1);
  for (size_t i = 0; i < top_ns.size(); ++i) {
    GenerationRequest request = MakeRequest(NumberedId(i), MakePrompt(9, i), 6);
    request.output.logprobs = top_ns[i];
    Submit(request, recorders[i]);
  }
  Submit(MakeRequest("without", MakePrompt(9, 50), 6), recorders.back());
  ExpectIdleAndFree();
  for (size_t i = 0; i < top_ns.size(); ++i) {
    std::vector<TokenId> tokens = MakePrompt(9, i);
    const RecordedSequence& sequence = recorders[i].sequence();
    tokens.insert(tokens.end(), sequence.tokens.begin(), sequence.tokens.end());
    ExpectLogprobs(sequence.logprobs, tokens, 9, top_ns[i]);
  }
  EXPECT_THAT(recorders.back().sequence().logprobs, IsEmpty());
}

TEST_F(EngineGenerateTest, TopIsCutToTheVocabulary) {
  Start({}, {.language = {.vocab_size = 10, .script = {}}});
  GenerationRequest request = MakeRequest("r", {1, 2}, 2);
  request.output.logprobs = 64;
  EXPECT_THAT(Run(request).sequence().logprobs.front().top, SizeIs(10));
}

TEST_F(EngineGenerateTest, PromptLogprobsComeOnceForTokensFromTheSecondOn) {
  for (const uint32_t chunk : {1u, 4u, 64u}) {
    Start({.max_prefill_chunk_tokens = chunk});
    GenerationRequest request = MakeRequest("r", MakePrompt(11, 8), 3);
    request.num_sequences = 3;
    request.output.prompt_logprobs = 2;
    const Recorder recorder = Run(request);
    ASSERT_TRUE(recorder.prompt().has_value());
    ExpectLogprobs(recorder.prompt()->logprobs, request.prompt, 1, 2);
    EXPECT_EQ(recorder.sequence(2).tokens, Expected(request, 2));
  }
}

TEST_F(EngineGenerateTest, PromptLogprobsOfASingleTokenAreEmpty) {
  Start();
  GenerationRequest request = MakeRequest("r", {5}, 2);
  request.output.prompt_logprobs = 1;
  const Recorder recorder = Run(request);
  ASSERT_TRUE(recorder.prompt().has_value());
  EXPECT_THAT(recorder.prompt()->logprobs, IsEmpty());
}

TEST_F(EngineGenerateTest, CountsExpertUsage) {
  for (const MissReader reader : {MissReader::kCpu, MissReader::kLink}) {
    Start({.miss_reader = reader});
    const Recorder recorder = Run(MakeRequest("r", MakePrompt(5, 1), 3));
    // Positions 0 to 6 are computed: 0 + 1 + 2 + 0 + 1 + 2 + 0 hits of 7 x 4 activations.
    const ExpertUsage& usage = recorder.sequence().finished->experts;
    EXPECT_EQ(usage.hits, 6u);
    EXPECT_EQ(usage.misses, 22u);
    EXPECT_EQ(usage.cpu_bytes, reader == MissReader::kCpu ? 22 * FakeModel::kRecordBytes : 0);
    EXPECT_EQ(usage.link_bytes, reader == MissReader::kLink ? 22 * FakeModel::kRecordBytes : 0);
    EXPECT_EQ(engine_->stats().expert_hits, 6u);
    EXPECT_EQ(engine_->stats().expert_misses, 22u);
  }
}

}  // namespace
}  // namespace spearfish::worker
