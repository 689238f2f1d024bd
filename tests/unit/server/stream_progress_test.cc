#include "server/api/stream_progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>

namespace spearfish::server {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

v1::GenerateStreamResponse Prompt() {
  v1::GenerateStreamResponse message;
  message.mutable_prompt_info()->set_num_prompt_tokens(1);
  return message;
}

v1::GenerateStreamResponse Tokens(uint32_t index, std::initializer_list<uint32_t> ids) {
  v1::GenerateStreamResponse message;
  message.mutable_delta()->set_index(index);
  message.mutable_delta()->mutable_token_ids()->Add(ids.begin(), ids.end());
  return message;
}

v1::GenerateStreamResponse End(uint32_t index) {
  v1::GenerateStreamResponse message;
  message.mutable_finish()->set_index(index);
  return message;
}

v1::GenerateStreamRequest RequestFor(uint32_t num_sequences) {
  v1::GenerateStreamRequest request;
  request.mutable_token_ids()->add_ids(1);
  request.mutable_sampling()->set_num_sequences(num_sequences);
  request.mutable_output()->set_prompt_logprobs(0);
  return request;
}

TEST(StreamProgress, SendsTheRequestAsItCameUntilSomethingWasDelivered) {
  StreamProgress progress(RequestFor(1));
  EXPECT_FALSE(progress.begun());
  EXPECT_FALSE(progress.NextRequest().has_resume());
  EXPECT_TRUE(progress.NextRequest().output().has_prompt_logprobs());
}

TEST(StreamProgress, GoesOnFromThePromptAlone) {
  StreamProgress progress(RequestFor(0));
  EXPECT_TRUE(progress.Note(Prompt()));
  EXPECT_TRUE(progress.begun());
  const v1::GenerateStreamRequest next = progress.NextRequest();
  ASSERT_EQ(next.resume().sequences_size(), 1);
  EXPECT_THAT(next.resume().sequences(0).generated_ids(), IsEmpty());
  EXPECT_FALSE(next.output().has_prompt_logprobs()) << "the client has them";
}

TEST(StreamProgress, RecordsEverySequenceAcrossWorkers) {
  StreamProgress progress(RequestFor(2));
  progress.Note(Prompt());
  progress.Note(Tokens(0, {5, 6}));
  progress.Note(Tokens(1, {7}));
  progress.Note(End(1));
  EXPECT_FALSE(progress.complete());
  static_cast<void>(progress.NextRequest());
  EXPECT_FALSE(progress.Note(Prompt())) << "the client has one";
  progress.Note(Tokens(0, {8}));
  const v1::GenerateStreamRequest next = progress.NextRequest();
  ASSERT_EQ(next.resume().sequences_size(), 2);
  EXPECT_THAT(next.resume().sequences(0).generated_ids(), ElementsAre(5, 6, 8));
  EXPECT_FALSE(next.resume().sequences(0).finished());
  EXPECT_TRUE(next.resume().sequences(1).finished());
  EXPECT_EQ(progress.num_tokens(), 4u);
  progress.Note(End(0));
  EXPECT_TRUE(progress.complete());
}

TEST(StreamProgress, CountsFromWhatItsClientResumes) {
  v1::GenerateStreamRequest request = RequestFor(1);
  request.mutable_resume()->add_sequences()->add_generated_ids(5);
  StreamProgress progress(request);
  EXPECT_FALSE(progress.begun());
  progress.Note(Prompt());
  progress.Note(Tokens(0, {6}));
  EXPECT_THAT(progress.NextRequest().resume().sequences(0).generated_ids(), ElementsAre(5, 6));
  EXPECT_EQ(progress.num_tokens(), 1u);
}

TEST(StreamProgress, WhatItsClientSaysIsNotDelivered) {
  v1::GenerateStreamRequest request;
  request.mutable_resume()->add_sequences()->set_finished(true);
  StreamProgress progress(request);
  EXPECT_FALSE(progress.begun());
  EXPECT_FALSE(progress.complete());
}

TEST(StreamProgress, CannotResumeAfterTextWithoutTokens) {
  StreamProgress progress(RequestFor(1));
  progress.Note(Prompt());
  EXPECT_TRUE(progress.resumable());
  progress.Note(Tokens(0, {}));
  EXPECT_FALSE(progress.resumable());
}

}  // namespace
}  // namespace spearfish::server
