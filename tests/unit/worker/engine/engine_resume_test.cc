// A request that another worker had begun goes on as if nothing had happened.
#include <gtest/gtest.h>

#include <utility>

#include "tests/unit/worker/engine/engine_fixture.h"

namespace spearfish::worker {
namespace {

// One whole run: what had been sent of each sequence after each of its tokens.
struct Reference {
  Recorder recorder;
  std::vector<std::vector<std::string>> text_after;  // [sequences][tokens + 1]
};

class EngineResumeTest : public EngineTest {
 protected:
  Reference RunWhole(const GenerationRequest& request) {
    Reference whole;
    whole.text_after.assign(request.num_sequences, {""});
    EXPECT_TRUE(engine_
                    ->Submit(request, whole.recorder.Sink([&](const EngineEvent& event) {
                      const auto* delta = std::get_if<TokensDelta>(&event);
                      if (delta == nullptr) return;
                      std::vector<std::string>& texts = whole.text_after[delta->index];
                      texts.push_back(texts.back() + delta->text);
                    }))
                    .ok());
    EXPECT_TRUE(engine_->WaitIdle(kLong));
    return whole;
  }

  // Sequence i has sent the first delivered[i] tokens.
  static GenerationRequest ResumedAt(GenerationRequest request, const Reference& whole,
                                     const std::vector<size_t>& delivered) {
    for (uint32_t i = 0; i < request.num_sequences; ++i) {
      const std::vector<TokenId>& all = whole.recorder.sequence(i).tokens;
      request.resumed.push_back(
          {.generated = {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(delivered[i])}});
    }
    return request;
  }

  static void ExpectContinues(const Reference& whole, const Recorder& rest, uint32_t index,
                              size_t delivered) {
    const RecordedSequence& all = whole.recorder.sequence(index);
    const RecordedSequence& got = rest.sequence(index);
    const auto seam = static_cast<std::ptrdiff_t>(delivered);
    EXPECT_EQ(got.tokens, std::vector<TokenId>(all.tokens.begin() + seam, all.tokens.end()));
    EXPECT_EQ(whole.text_after[index][delivered] + got.text, all.text);
    if (!all.logprobs.empty()) {
      ASSERT_EQ(got.logprobs.size(), got.tokens.size());
      for (size_t i = 0; i < got.logprobs.size(); ++i) {
        EXPECT_EQ(got.logprobs[i].chosen.logprob, all.logprobs[delivered + i].chosen.logprob);
      }
    }
    ASSERT_TRUE(got.finished.has_value());
    EXPECT_EQ(got.finished->reason, all.finished->reason);
    EXPECT_EQ(got.finished->matched.index(), all.finished->matched.index());
    EXPECT_EQ(got.finished->num_prompt_tokens, all.finished->num_prompt_tokens);
    EXPECT_EQ(got.finished->num_completion_tokens, all.finished->num_completion_tokens);
  }

  void ExpectResumableEverywhere(const GenerationRequest& request) {
    const Reference whole = RunWhole(request);
    for (size_t delivered = 0; delivered <= whole.recorder.sequence().tokens.size(); ++delivered) {
      SCOPED_TRACE(delivered);
      ExpectContinues(whole, Run(ResumedAt(request, whole, {delivered})), 0, delivered);
    }
  }
};

TEST_F(EngineResumeTest, GreedyAndSampledTokensGoOn) {
  Start();
  GenerationRequest request = MakeRequest("r", MakePrompt(9, 1), 24);
  request.output.logprobs = 2;
  request.output.text = true;
  ExpectResumableEverywhere(request);
  request.sampling.temperature = 1;
  request.sampling.top_p = 0.9f;
  request.sampling.seed = 5;
  ExpectResumableEverywhere(request);
}

TEST_F(EngineResumeTest, PenaltiesSeeThePromptAndTheGeneratedApart) {
  Start();
  GenerationRequest request = MakeRequest("r", MakePrompt(5, 2, 8), 24);
  request.sampling.temperature = 1;
  request.sampling.seed = 9;
  request.sampling.presence_penalty = 1.5f;
  request.sampling.frequency_penalty = 1;
  request.sampling.repetition_penalty = 1.4f;
  ExpectResumableEverywhere(request);
}

TEST_F(EngineResumeTest, MinTokensAndStopTokensCountAcrossTheSeam) {
  FakeModelOptions options;
  options.config_eos_ids = {11};
  for (uint32_t i = 1; i < 40; ++i) options.language.script[i] = i % 2 == 0 ? 11 : 30;
  Start({}, options);
  GenerationRequest request = MakeRequest("r", {0}, 20);
  request.stopping.min_tokens = 6;
  request.output.text = true;
  ExpectResumableEverywhere(request);
}

TEST_F(EngineResumeTest, HeldBackStopStringsAreNeitherLostNorRepeated) {
  FakeModelOptions options;
  const std::string text = "AB<EN<EN<END>";
  for (uint32_t i = 0; i < text.size(); ++i) {
    options.language.script[i + 1] = static_cast<TokenId>(text[i] - ' ');
  }
  Start({}, options);
  GenerationRequest request = MakeRequest("r", {0}, 20);
  request.output.text = true;
  request.stopping.stop_strings = {"<END>"};
  ExpectResumableEverywhere(request);
  request.stopping.max_tokens = 11;  // within what may begin the stop string
  ExpectResumableEverywhere(request);
}

TEST_F(EngineResumeTest, HalfCharactersAreNeitherLostNorRepeated) {
  tokenizer_ = FakeTokenizer({"a", "\xe2", "\x82", "\xac", "\xf0\x9f", "\x90\xa1", "b"});
  FakeModelOptions options;
  const std::vector<TokenId> script = {0, 1, 2, 3, 4, 5, 6, 1, 2};
  for (uint32_t i = 0; i < script.size(); ++i) options.language.script[i + 1] = script[i];
  Start({}, options);
  GenerationRequest request = MakeRequest("r", {0}, 9);
  request.output.text = true;
  ExpectResumableEverywhere(request);
}

TEST_F(EngineResumeTest, SequencesGoOnEachFromItsOwnPlace) {
  Start();
  GenerationRequest request = MakeRequest("r", MakePrompt(7, 3), 12);
  request.num_sequences = 4;
  request.sampling.temperature = 1;
  request.sampling.seed = 3;
  request.output.text = true;
  const Reference whole = RunWhole(request);
  const std::vector<size_t> delivered = {12, 0, 7, 12};  // the first is over, and told
  GenerationRequest resumed = ResumedAt(request, whole, delivered);
  resumed.resumed[0].finished = true;
  const Recorder rest = Run(resumed);
  EXPECT_EQ(rest.num_finished(), 3u);
  EXPECT_FALSE(rest.sequence(0).finished.has_value());
  for (const uint32_t i : {1u, 2u, 3u}) ExpectContinues(whole, rest, i, delivered[i]);
  ExpectIdleAndFree();
}

TEST_F(EngineResumeTest, RefusesWhatTheRequestCannotHaveGenerated) {
  Start();
  const auto refusal = [this](std::vector<ResumedSequence> resumed) {
    GenerationRequest request = MakeRequest("r", {1}, 4);
    request.resumed = std::move(resumed);
    Recorder recorder;
    const absl::Status status = engine_->Submit(request, recorder.Sink());
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_NE(refusal({{}, {}}).find("resume.sequences is 2"), std::string::npos);
  EXPECT_NE(refusal({{.generated = {}, .finished = true}}).find("all finished"), std::string::npos);
  EXPECT_NE(refusal({{.generated = {1, 2, 3, 4, 5}}}).find("at most 4"), std::string::npos);
  EXPECT_NE(refusal({{.generated = {64}}}).find("64"), std::string::npos);
}

}  // namespace
}  // namespace spearfish::worker
