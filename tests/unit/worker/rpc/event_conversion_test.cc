#include "worker/rpc/event_conversion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "tests/unit/worker/rpc/byte_tokenizer.h"

namespace spearfish::worker {
namespace {

using ::testing::ElementsAre;

TokensDelta Delta(TokenId id, const char* text) {
  TokensDelta delta;
  delta.index = 2;
  delta.token_ids = {id};
  delta.text = text;
  delta.logprobs = {{.chosen = {.token = id, .logprob = -0.5f},
                     .rank = 1,
                     .top = {{.token = id, .logprob = -0.5f}, {.token = 9, .logprob = -2.0f}}}};
  return delta;
}

TEST(EventConversion, DeltaKeepsTokensTextAndLogprobs) {
  const v1::Delta out = ToProto(Delta(5, "x"), {});
  EXPECT_EQ(out.index(), 2u);
  EXPECT_THAT(out.token_ids(), ElementsAre(5));
  EXPECT_EQ(out.text(), "x");
  ASSERT_EQ(out.logprobs_size(), 1);
  EXPECT_EQ(out.logprobs(0).chosen().logprob(), -0.5f);
  EXPECT_EQ(out.logprobs(0).rank(), 1u);
  ASSERT_EQ(out.logprobs(0).top_size(), 2);
  EXPECT_EQ(out.logprobs(0).top(1).token_id(), 9u);
}

TEST(EventConversion, TokensBytesOnlyWhenAskedFor) {
  const ByteTokenizer tokenizer;
  TokensDelta delta = Delta('a', "a");
  delta.logprobs[0].top[1].token = 0xe4;  // half a character
  delta.logprobs[0].top.push_back({.token = 999, .logprob = -3});
  EXPECT_EQ(ToProto(delta, {}).logprobs(0).chosen().token_bytes(), "");
  const v1::Delta out = ToProto(delta, {.tokenizer = &tokenizer});
  EXPECT_EQ(out.logprobs(0).chosen().token_bytes(), "a");
  EXPECT_EQ(out.logprobs(0).top(1).token_bytes(), "\xe4");
  EXPECT_EQ(out.logprobs(0).top(2).token_bytes(), "");  // not in the vocabulary
}

TEST(EventConversion, MergedDeltasReadAsOne) {
  v1::Delta merged = ToProto(Delta(5, "x"), {});
  MergeDelta(ToProto(Delta(6, "y"), {}), merged);
  EXPECT_THAT(merged.token_ids(), ElementsAre(5, 6));
  EXPECT_EQ(merged.text(), "xy");
  ASSERT_EQ(merged.logprobs_size(), 2);
  EXPECT_EQ(merged.logprobs(1).chosen().token_id(), 6u);
}

TEST(EventConversion, PromptKeepsItsLogprobs) {
  PromptDone prompt;
  prompt.num_prompt_tokens = 2;
  prompt.num_cached_tokens = 1;
  prompt.logprobs = Delta(3, "").logprobs;
  const v1::PromptInfo out = ToProto(prompt, {.request_id = "id", .begins_in_reasoning = true});
  EXPECT_EQ(out.request_id(), "id");
  EXPECT_TRUE(out.begins_in_reasoning());
  EXPECT_EQ(out.num_prompt_tokens(), 2u);
  EXPECT_EQ(out.num_cached_tokens(), 1u);
  EXPECT_EQ(out.prompt_logprobs_size(), 1);
}

TEST(EventConversion, FinishSaysWhatMatched) {
  SequenceFinished finished;
  EXPECT_EQ(ToProto(finished).matched_case(), v1::Finish::MATCHED_NOT_SET);
  EXPECT_EQ(ToProto(finished).finish_reason(), v1::FINISH_REASON_STOP);
  finished.matched = StopTokenMatch{4};
  EXPECT_EQ(ToProto(finished).stop_token_id(), 4u);
  finished.matched = EosTokenMatch{5};
  EXPECT_EQ(ToProto(finished).eos_token_id(), 5u);
  finished.matched = StopStringMatch{"end"};
  EXPECT_EQ(ToProto(finished).stop_string(), "end");
  finished.reason = FinishReason::kAborted;
  EXPECT_EQ(ToProto(finished).finish_reason(), v1::FINISH_REASON_ABORTED);
}

}  // namespace
}  // namespace spearfish::worker
