// What ends a sequence, and what its text is then.
#include <gtest/gtest.h>

#include <cstring>

#include "tests/unit/worker/engine/engine_fixture.h"

namespace spearfish::worker {
namespace {

// The model continues the prompt {0} with a script, one token a position.
class EngineStoppingTest : public EngineTest {
 protected:
  void StartWithScript(const std::vector<TokenId>& script, std::vector<TokenId> config_eos = {},
                       std::vector<TokenId> generation_eos = {}) {
    FakeModelOptions options;
    options.config_eos_ids = std::move(config_eos);
    options.generation_eos_ids = std::move(generation_eos);
    for (uint32_t i = 0; i < script.size(); ++i) options.language.script[i + 1] = script[i];
    Start({}, std::move(options));
  }

  // Ids of FakeTokenizer::Ascii.
  static std::vector<TokenId> Ids(const char* text) {
    std::vector<TokenId> ids;
    for (const char* c = text; *c != 0; ++c) ids.push_back(static_cast<TokenId>(*c - ' '));
    return ids;
  }

  static GenerationRequest TextRequest(uint32_t max_tokens) {
    GenerationRequest request = MakeRequest("r", {0}, max_tokens);
    request.output.text = true;
    return request;
  }
};

TEST_F(EngineStoppingTest, EosOfEitherConfigurationEnds) {
  for (const TokenId eos : {11u, 12u}) {
    StartWithScript({20, 21, eos, 22}, {11, 70000}, {12, 11});
    const Recorder recorder = Run(TextRequest(10));
    EXPECT_EQ(recorder.sequence().tokens, (std::vector<TokenId>{20, 21, eos}));
    EXPECT_EQ(recorder.sequence().text, "45") << "the end-of-sequence token has no text";
    const SequenceFinished& finished = *recorder.sequence().finished;
    EXPECT_EQ(finished.reason, FinishReason::kStop);
    ASSERT_TRUE(std::holds_alternative<EosTokenMatch>(finished.matched));
    EXPECT_EQ(std::get<EosTokenMatch>(finished.matched).id, eos);
    EXPECT_EQ(finished.num_completion_tokens, 3u);
  }
}

TEST_F(EngineStoppingTest, IgnoredEosIsATokenLikeAnyOther) {
  StartWithScript({20, 11, 21}, {11});
  GenerationRequest request = TextRequest(3);
  request.stopping.ignore_eos = true;
  const Recorder recorder = Run(request);
  EXPECT_EQ(recorder.sequence().tokens, (std::vector<TokenId>{20, 11, 21}));
  EXPECT_EQ(recorder.sequence().text, "4+5");
  EXPECT_EQ(recorder.sequence().finished->reason, FinishReason::kLength);
}

TEST_F(EngineStoppingTest, StopTokenEndsAndIsNamed) {
  StartWithScript({20, 30, 21});
  GenerationRequest request = TextRequest(10);
  request.stopping.stop_token_ids = {31, 30};
  const Recorder recorder = Run(request);
  EXPECT_EQ(recorder.sequence().tokens, (std::vector<TokenId>{20, 30}));
  EXPECT_EQ(recorder.sequence().text, "4");
  const auto& matched = recorder.sequence().finished->matched;
  ASSERT_TRUE(std::holds_alternative<StopTokenMatch>(matched));
  EXPECT_EQ(std::get<StopTokenMatch>(matched).id, 30u);
}

TEST_F(EngineStoppingTest, StopTokenEndsEvenWhenItIsAnIgnoredEos) {
  StartWithScript({20, 11, 21}, {11});
  GenerationRequest request = TextRequest(10);
  request.stopping.ignore_eos = true;
  request.stopping.stop_token_ids = {11};
  const auto matched = Run(request).sequence().finished->matched;
  EXPECT_TRUE(std::holds_alternative<StopTokenMatch>(matched));
}

TEST_F(EngineStoppingTest, MinTokensBansStopAndEosTokens) {
  StartWithScript({30, 11, 30, 11}, {11});
  GenerationRequest request = TextRequest(10);
  request.stopping.stop_token_ids = {30};
  request.stopping.min_tokens = 3;
  const Recorder recorder = Run(request);
  const std::vector<TokenId>& tokens = recorder.sequence().tokens;
  ASSERT_EQ(tokens.size(), 4u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_NE(tokens[i], 30u);
    EXPECT_NE(tokens[i], 11u);
  }
  EXPECT_EQ(tokens[3], 11u);
}

TEST_F(EngineStoppingTest, StopStringAcrossTokensEndsTheTextBeforeIt) {
  StartWithScript(Ids("AB<END>C"));
  GenerationRequest request = TextRequest(10);
  request.stopping.stop_strings = {"none", "<END>"};
  const Recorder recorder = Run(request);
  EXPECT_EQ(recorder.sequence().text, "AB");
  EXPECT_EQ(recorder.sequence().tokens, Ids("AB<END>"));
  const auto& matched = recorder.sequence().finished->matched;
  ASSERT_TRUE(std::holds_alternative<StopStringMatch>(matched));
  EXPECT_EQ(std::get<StopStringMatch>(matched).text, "<END>");
}

TEST_F(EngineStoppingTest, IncludedStopStringStays) {
  StartWithScript(Ids("AB<END>C"));
  GenerationRequest request = TextRequest(10);
  request.stopping.stop_strings = {"<END>"};
  request.output.include_stop_string = true;
  EXPECT_EQ(Run(request).sequence().text, "AB<END>");
}

TEST_F(EngineStoppingTest, StopStringsWorkWithoutTextOutput) {
  StartWithScript(Ids("AB<END>C"));
  GenerationRequest request = MakeRequest("r", {0}, 10);
  request.stopping.stop_strings = {"END"};
  const Recorder recorder = Run(request);
  EXPECT_EQ(recorder.sequence().tokens, Ids("AB<END"));
  EXPECT_EQ(recorder.sequence().text, "");
}

TEST_F(EngineStoppingTest, StopStringBeforeMinTokensIsText) {
  StartWithScript(Ids("ABABAB"));
  GenerationRequest request = TextRequest(10);
  request.stopping.stop_strings = {"AB"};
  request.stopping.min_tokens = 3;
  const Recorder recorder = Run(request);
  EXPECT_EQ(recorder.sequence().tokens, Ids("ABAB"));
  EXPECT_EQ(recorder.sequence().text, "AB");
}

TEST_F(EngineStoppingTest, TextHeldBackForAStopStringComesAtTheEnd) {
  StartWithScript(Ids("AB<EN"));
  GenerationRequest request = TextRequest(5);
  request.stopping.stop_strings = {"<END>"};
  const Recorder recorder = Run(request);
  EXPECT_EQ(recorder.sequence().text, "AB<EN");
  EXPECT_EQ(recorder.sequence().finished->reason, FinishReason::kLength);
}

TEST_F(EngineStoppingTest, TextHeldBackComesWhenAborted) {
  FakeModelOptions options;
  const std::vector<TokenId> script = Ids("AB<ENXXXXXX");
  for (uint32_t i = 0; i < script.size(); ++i) options.language.script[i + 1] = script[i];
  // The fifth step makes the fifth token; the request is aborted while it runs.
  int step = 0;
  Start({}, std::move(options), [&](const StepInput&) {
    if (++step == 5) {
      EXPECT_TRUE(engine_->Abort("r"));
    }
  });
  GenerationRequest request = TextRequest(50);
  request.stopping.stop_strings = {"<END>"};
  const Recorder recorder = Run(request);
  EXPECT_EQ(recorder.sequence().text, "AB<EN");
  EXPECT_EQ(recorder.sequence().finished->reason, FinishReason::kAborted);
}

TEST_F(EngineStoppingTest, MultiByteStopStringAcrossTokens) {
  tokenizer_ = FakeTokenizer({"<s>", "\xC3", "\xA9", "a", "\xA8", "\xE2\x82", "\xAC"});
  StartWithScript({3, 1, 4, 1, 2, 5, 6, 3});
  GenerationRequest request = TextRequest(9);
  request.stopping.stop_strings = {"\xC3\xA9\xE2\x82\xAC"};
  const Recorder recorder = Run(request);
  EXPECT_EQ(recorder.sequence().text, "a\xC3\xA8");
  EXPECT_EQ(recorder.sequence().tokens.size(), 7u);
}

TEST_F(EngineStoppingTest, HalfACharacterAtTheEndBecomesAReplacementCharacter) {
  tokenizer_ = FakeTokenizer({"<s>", "\xC3", "\xA9", "a"});
  StartWithScript({3, 1});
  EXPECT_EQ(Run(TextRequest(2)).sequence().text, "a\xEF\xBF\xBD");
}

}  // namespace
}  // namespace spearfish::worker
