// Too few KV blocks: sequences give way and come back, and nobody can tell from the output.
#include <gtest/gtest.h>

#include "tests/unit/worker/engine/engine_fixture.h"

namespace spearfish::worker {
namespace {

class EnginePreemptionTest : public EngineTest {
 protected:
  // Room for one sequence of 96 tokens and a bit.
  static FakeModelOptions TightModel() {
    FakeModelOptions options;
    options.num_kv_blocks = 26;
    options.kv_block_tokens = 4;
    return options;
  }
};

TEST_F(EnginePreemptionTest, OutputIsTheSame) {
  for (const uint32_t chunk : {3u, 256u}) {
    uint64_t rows = 0;
    Start({.max_prefill_chunk_tokens = chunk}, TightModel(), [&](const StepInput& input) {
      for (const StepSequence& sequence : input.sequences) rows += sequence.token_ids.size();
    });
    std::vector<GenerationRequest> requests;
    std::vector<Recorder> recorders(10);
    uint64_t least_rows = 0;
    HoldSteps();
    for (uint32_t i = 0; i < recorders.size(); ++i) {
      requests.push_back(MakeRequest(NumberedId(i), MakePrompt(3 + i, i), 60));
      requests[i].sampling.temperature = i % 2 == 0 ? 0 : 1;
      requests[i].sampling.repetition_penalty = i % 3 == 0 ? 1.0f : 1.3f;
      requests[i].sampling.seed = i;
      requests[i].output.logprobs = 1;
      requests[i].output.text = true;
      least_rows += 3 + i + 59;
      Submit(requests[i], recorders[i]);
    }
    ReleaseSteps();
    ExpectIdleAndFree();
    EXPECT_GT(rows, least_rows) << "nothing was preempted: the test proves nothing";
    for (uint32_t i = 0; i < recorders.size(); ++i) {
      const RecordedSequence& sequence = recorders[i].sequence();
      EXPECT_EQ(sequence.tokens, ExpectedTokens(FakeLanguage(), requests[i], 0, 60, {})) << i;
      EXPECT_EQ(sequence.logprobs.size(), 60u);
      EXPECT_EQ(sequence.text,
                *tokenizer_.Decode(sequence.tokens, Tokenizer::SpecialTokens::kParse));
    }
  }
}

TEST_F(EnginePreemptionTest, PromptLogprobsSurviveAPreemptedPrefill) {
  // The first request grows while the second, slowly, prefills: it is preempted half way.
  uint32_t restarts = 0;
  uint32_t last_context = 0;
  Start({.max_num_seqs = 2, .max_num_batched_tokens = 2, .max_prefill_chunk_tokens = 1},
        TightModel(), [&](const StepInput& input) {
          for (const StepSequence& sequence : input.sequences) {
            if (sequence.token_ids.front() != 7) continue;
            if (sequence.context_len < last_context) ++restarts;
            last_context = sequence.context_len;
          }
        });
  GenerationRequest growing = MakeRequest("growing", std::vector<TokenId>(20, 5), 76);
  growing.sampling.logit_bias = {{7, -100.0f}};
  GenerationRequest waiting = MakeRequest("waiting", std::vector<TokenId>(70, 7), 4);
  waiting.output.prompt_logprobs = 0;
  Recorder first;
  Recorder second;
  HoldSteps();
  Submit(growing, first);
  Submit(waiting, second);
  ReleaseSteps();
  ExpectIdleAndFree();
  EXPECT_GT(restarts, 0u) << "nothing was preempted: the test proves nothing";
  ASSERT_TRUE(second.prompt().has_value());
  EXPECT_EQ(second.prompt()->logprobs.size(), 69u);
  for (size_t p = 1; p < 70; ++p) {
    const std::span<const TokenId> before(waiting.prompt.data(), p);
    const std::vector<float> logits =
        FakeLanguage().Logits(StateOf(before), static_cast<uint32_t>(p));
    EXPECT_EQ(second.prompt()->logprobs[p - 1].chosen.logprob,
              LogprobsOf(logits, 7, 0).chosen.logprob);
  }
}

TEST_F(EnginePreemptionTest, AbortOfAPreemptedSequenceFreesIt) {
  bool preempted = false;
  uint32_t most = 0;
  Start({}, TightModel(), [&](const StepInput& input) {
    const uint32_t now = static_cast<uint32_t>(input.sequences.size());
    if (now < most && !preempted) {
      preempted = true;
      EXPECT_TRUE(engine_->Abort("r3"));
    }
    most = std::max(most, now);
  });
  std::vector<Recorder> recorders(4);
  HoldSteps();
  for (uint32_t i = 0; i < recorders.size(); ++i) {
    Submit(MakeRequest(NumberedId(i), MakePrompt(4, i), 60), recorders[i]);
  }
  ReleaseSteps();
  ExpectIdleAndFree();
  EXPECT_TRUE(preempted);
  EXPECT_EQ(recorders[3].sequence().finished->reason, FinishReason::kAborted);
  EXPECT_EQ(recorders[0].sequence().finished->reason, FinishReason::kLength);
}

}  // namespace
}  // namespace spearfish::worker
