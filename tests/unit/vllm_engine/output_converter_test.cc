#include "common/vllm_engine/output_converter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace spearfish::vllm_engine {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Mode = OutputConverter::Mode;

v1::GenerateStreamResponse Info(uint32_t prompt_tokens, uint32_t cached_tokens) {
  v1::GenerateStreamResponse event;
  event.mutable_prompt_info()->set_num_prompt_tokens(prompt_tokens);
  event.mutable_prompt_info()->set_num_cached_tokens(cached_tokens);
  return event;
}

void Add(uint32_t id, float logprob, v1::PositionLogprobs& position) {
  position.mutable_chosen()->set_token_id(id);
  position.mutable_chosen()->set_logprob(logprob);
}

void AddTop(uint32_t id, float logprob, v1::PositionLogprobs& position) {
  v1::TokenLogprob& top = *position.add_top();
  top.set_token_id(id);
  top.set_logprob(logprob);
}

v1::GenerateStreamResponse Delta(uint32_t index, const std::vector<uint32_t>& ids) {
  v1::GenerateStreamResponse event;
  event.mutable_delta()->set_index(index);
  event.mutable_delta()->mutable_token_ids()->Add(ids.begin(), ids.end());
  return event;
}

v1::GenerateStreamResponse Finish(uint32_t index, v1::FinishReason reason) {
  v1::GenerateStreamResponse event;
  event.mutable_finish()->set_index(index);
  event.mutable_finish()->set_finish_reason(reason);
  return event;
}

TEST(OutputConverter, StreamsDeltasAndRepeatsTheLastInTheComplete) {
  OutputConverter converter(Mode::kStream, std::nullopt);
  EXPECT_FALSE(converter.Convert(Info(7, 2)));
  const auto first = converter.Convert(Delta(0, {10, 11}));
  const auto second = converter.Convert(Delta(0, {12}));
  const auto end = converter.Convert(Finish(0, v1::FINISH_REASON_LENGTH));
  ASSERT_TRUE(first && second && end);
  EXPECT_THAT(first->chunk().token_ids(), ElementsAre(10, 11));
  EXPECT_EQ(first->chunk().completion_tokens(), 2u);
  EXPECT_EQ(first->chunk().prompt_tokens(), 7u);
  EXPECT_EQ(first->chunk().cached_tokens(), 2u);
  EXPECT_THAT(second->chunk().token_ids(), ElementsAre(12));
  EXPECT_EQ(second->chunk().completion_tokens(), 1u);
  EXPECT_THAT(end->complete().output_ids(), ElementsAre(12));
  EXPECT_EQ(end->complete().completion_tokens(), 1u);
  EXPECT_EQ(end->complete().prompt_tokens(), 7u);
  EXPECT_EQ(end->complete().cached_tokens(), 2u);
  EXPECT_EQ(end->complete().finish_reason(), "length");
}

TEST(OutputConverter, KeepsSequencesApart) {
  OutputConverter converter(Mode::kStream, std::nullopt);
  converter.Convert(Info(1, 0));
  EXPECT_EQ(converter.Convert(Delta(1, {20}))->chunk().index(), 1u);
  EXPECT_EQ(converter.Convert(Delta(0, {10}))->chunk().index(), 0u);
  const auto second = converter.Convert(Finish(1, v1::FINISH_REASON_STOP));
  EXPECT_EQ(second->complete().index(), 1u);
  EXPECT_THAT(second->complete().output_ids(), ElementsAre(20));
  const auto first = converter.Convert(Finish(0, v1::FINISH_REASON_STOP));
  EXPECT_EQ(first->complete().index(), 0u);
  EXPECT_THAT(first->complete().output_ids(), ElementsAre(10));
}

TEST(OutputConverter, GivesTheWholeOutputAtOnce) {
  OutputConverter converter(Mode::kWhole, std::nullopt);
  EXPECT_FALSE(converter.Convert(Info(3, 0)));
  EXPECT_FALSE(converter.Convert(Delta(0, {10, 11})));
  v1::GenerateStreamResponse last = Delta(0, {12});
  Add(12, -0.5f, *last.mutable_delta()->add_logprobs());
  EXPECT_FALSE(converter.Convert(last));
  const auto end = converter.Convert(Finish(0, v1::FINISH_REASON_STOP));
  ASSERT_TRUE(end);
  EXPECT_THAT(end->complete().output_ids(), ElementsAre(10, 11, 12));
  EXPECT_EQ(end->complete().completion_tokens(), 3u);
  EXPECT_EQ(end->complete().finish_reason(), "stop");
  EXPECT_THAT(end->complete().output_logprobs().token_logprobs(), ElementsAre(-0.5f));
}

TEST(OutputConverter, SaysWhatMatchedButNotAnEndOfSequence) {
  OutputConverter converter(Mode::kStream, std::nullopt);
  v1::GenerateStreamResponse finish = Finish(0, v1::FINISH_REASON_STOP);
  finish.mutable_finish()->set_stop_token_id(9);
  EXPECT_EQ(converter.Convert(finish)->complete().matched_token_id(), 9u);
  finish.mutable_finish()->set_stop_string("END");
  EXPECT_EQ(converter.Convert(finish)->complete().matched_stop_str(), "END");
  finish.mutable_finish()->set_eos_token_id(2);
  EXPECT_EQ(converter.Convert(finish)->complete().matched_stop_case(),
            wire::GenerateComplete::MATCHED_STOP_NOT_SET);
}

TEST(OutputConverter, CallsAnAbortedSequenceAborted) {
  OutputConverter converter(Mode::kStream, std::nullopt);
  const auto end = converter.Convert(Finish(0, v1::FINISH_REASON_ABORTED));
  EXPECT_EQ(end->complete().finish_reason(), "abort");
  EXPECT_THAT(end->complete().output_ids(), IsEmpty());
}

TEST(OutputConverter, SaysNothingForTextThatLagsBehindItsTokens) {
  OutputConverter converter(Mode::kStream, std::nullopt);
  converter.Convert(Delta(0, {10}));
  v1::GenerateStreamResponse text = Delta(0, {});
  text.mutable_delta()->set_text("!");
  EXPECT_FALSE(converter.Convert(text));
  const auto end = converter.Convert(Finish(0, v1::FINISH_REASON_STOP));
  EXPECT_THAT(end->complete().output_ids(), ElementsAre(10));
}

TEST(OutputConverter, GivesLogProbabilitiesOfTheOutput) {
  OutputConverter converter(Mode::kStream, std::nullopt);
  v1::GenerateStreamResponse event = Delta(0, {10});
  v1::PositionLogprobs& position = *event.mutable_delta()->add_logprobs();
  Add(10, -0.25f, position);
  EXPECT_EQ(converter.Convert(event)->chunk().output_logprobs().top_logprobs_size(), 0);
  AddTop(11, -0.125f, position);
  AddTop(10, -0.25f, position);
  const auto chunk = converter.Convert(event);
  const wire::OutputLogProbs& logprobs = chunk->chunk().output_logprobs();
  EXPECT_THAT(logprobs.token_logprobs(), ElementsAre(-0.25f));
  EXPECT_THAT(logprobs.token_ids(), ElementsAre(10));
  ASSERT_EQ(logprobs.top_logprobs_size(), 1);
  EXPECT_THAT(logprobs.top_logprobs(0).values(), ElementsAre(-0.125f, -0.25f));
  EXPECT_THAT(logprobs.top_logprobs(0).token_ids(), ElementsAre(11, 10));
}

class InputLogProbsTest : public ::testing::Test {
 protected:
  static v1::GenerateStreamResponse ScoredInfo() {
    v1::GenerateStreamResponse event = Info(2, 0);
    v1::PositionLogprobs& position = *event.mutable_prompt_info()->add_prompt_logprobs();
    Add(6, -1.5f, position);
    AddTop(8, -0.5f, position);
    return event;
  }
  static void ExpectScores(const wire::InputLogProbs& logprobs) {
    EXPECT_THAT(logprobs.token_ids(), ElementsAre(5, 6));
    ASSERT_EQ(logprobs.token_logprobs_size(), 2);
    EXPECT_FALSE(logprobs.token_logprobs(0).has_value());
    EXPECT_EQ(logprobs.token_logprobs(1).value(), -1.5f);
    ASSERT_EQ(logprobs.top_logprobs_size(), 2);
    EXPECT_THAT(logprobs.top_logprobs(0).token_ids(), IsEmpty());
    EXPECT_THAT(logprobs.top_logprobs(1).token_ids(), ElementsAre(8));
  }
};

TEST_F(InputLogProbsTest, ComeWithTheFirstChunkOfEverySequence) {
  OutputConverter converter(Mode::kStream, 5);
  converter.Convert(ScoredInfo());
  ExpectScores(converter.Convert(Delta(0, {10}))->chunk().input_logprobs());
  EXPECT_FALSE(converter.Convert(Delta(0, {11}))->chunk().has_input_logprobs());
  ExpectScores(converter.Convert(Delta(1, {20}))->chunk().input_logprobs());
  EXPECT_FALSE(
      converter.Convert(Finish(0, v1::FINISH_REASON_STOP))->complete().has_input_logprobs());
}

TEST_F(InputLogProbsTest, ComeWithTheCompleteOfAWholeOutput) {
  OutputConverter converter(Mode::kWhole, 5);
  converter.Convert(ScoredInfo());
  converter.Convert(Delta(0, {10}));
  ExpectScores(converter.Convert(Finish(0, v1::FINISH_REASON_STOP))->complete().input_logprobs());
}

TEST_F(InputLogProbsTest, AreLeftOutUnlessAskedFor) {
  OutputConverter converter(Mode::kStream, std::nullopt);
  converter.Convert(ScoredInfo());
  EXPECT_FALSE(converter.Convert(Delta(0, {10}))->chunk().has_input_logprobs());
}

}  // namespace
}  // namespace spearfish::vllm_engine
