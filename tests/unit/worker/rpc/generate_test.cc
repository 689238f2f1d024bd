#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>

#include "tests/unit/worker/rpc/rpc_test_server.h"

namespace spearfish::worker {
namespace {

using ::testing::ElementsAre;

TEST(Generate, CollectsEverySequence) {
  RpcTestServer server;
  v1::GenerateRequest request = UnaryRequest("a");
  request.mutable_sampling()->set_num_sequences(2);
  std::thread engine([&] {
    server.engine().TakeRequest();
    PromptDone prompt;
    prompt.num_prompt_tokens = 1;
    prompt.num_cached_tokens = 1;
    server.engine().Emit("a", prompt);
    for (const TokenId token : {5u, 6u}) {
      TokensDelta delta;
      delta.index = 1;
      delta.token_ids = {token};
      delta.text = "t";
      delta.logprobs = {{.chosen = {.token = token, .logprob = -1.0f}, .rank = 2, .top = {}}};
      server.engine().Emit("a", delta);
    }
    for (const uint32_t index : {0u, 1u}) {
      SequenceFinished finished;
      finished.index = index;
      finished.reason = FinishReason::kLength;
      server.engine().Emit("a", finished);
    }
  });
  grpc::ClientContext context;
  v1::GenerateResponse response;
  const grpc::Status status = server.inference().Generate(&context, request, &response);
  engine.join();
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.prompt_info().request_id(), "a");
  EXPECT_EQ(response.prompt_info().num_cached_tokens(), 1u);
  ASSERT_EQ(response.sequences_size(), 2);
  EXPECT_EQ(response.sequences(0).output().token_ids_size(), 0);
  const v1::SequenceOutput& second = response.sequences(1);
  EXPECT_EQ(second.output().index(), 1u);
  EXPECT_THAT(second.output().token_ids(), ElementsAre(5, 6));
  EXPECT_EQ(second.output().text(), "tt");
  EXPECT_EQ(second.output().logprobs_size(), 2);
  EXPECT_EQ(second.finish().finish_reason(), v1::FINISH_REASON_LENGTH);
}

TEST(Generate, DeadlineOfOneMillisecond) {
  RpcTestServer server;
  for (int i = 0; i < 50; ++i) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(1));
    v1::GenerateResponse response;
    EXPECT_EQ(server.inference().Generate(&context, UnaryRequest(""), &response).error_code(),
              grpc::StatusCode::DEADLINE_EXCEEDED);
  }
  server.Shutdown(absl::InfiniteDuration());
  EXPECT_EQ(server.engine().num_live(), 0u);
}

TEST(Generate, CancellationAbortsTheRequestInTheEngine) {
  RpcTestServer server;
  grpc::ClientContext context;
  std::thread cancel([&] {
    server.engine().TakeRequest();
    context.TryCancel();
  });
  v1::GenerateResponse response;
  EXPECT_EQ(server.inference().Generate(&context, UnaryRequest("a"), &response).error_code(),
            grpc::StatusCode::CANCELLED);
  cancel.join();
  server.engine().WaitForAbort("a");
  EXPECT_TRUE(server.engine().WaitIdle(absl::InfiniteDuration()));
}

TEST(Generate, LoadingAndDrainingAreUnavailable) {
  RpcTestServer server(RpcTestServer::Begin::kLoading);
  v1::GenerateResponse response;
  grpc::ClientContext loading;
  grpc::Status status = server.inference().Generate(&loading, UnaryRequest("a"), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), ::testing::HasSubstr("loading"));
  server.SetLoaded();
  server.state().Drain();
  grpc::ClientContext draining;
  status = server.inference().Generate(&draining, UnaryRequest("a"), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), ::testing::HasSubstr("draining"));
}

TEST(Tokenize, RoundTrips) {
  RpcTestServer server;
  v1::TokenizeRequest request;
  request.set_text("a<end>");
  v1::TokenizeResponse tokens;
  grpc::ClientContext tokenize;
  ASSERT_TRUE(server.inference().Tokenize(&tokenize, request, &tokens).ok());
  EXPECT_THAT(tokens.token_ids(), ElementsAre('a', 256));

  v1::DetokenizeRequest back;
  *back.mutable_token_ids() = tokens.token_ids();
  v1::DetokenizeResponse text;
  grpc::ClientContext detokenize;
  ASSERT_TRUE(server.inference().Detokenize(&detokenize, back, &text).ok());
  EXPECT_EQ(text.text(), "a<end>");
  back.set_skip_special_tokens(true);
  grpc::ClientContext skipping;
  ASSERT_TRUE(server.inference().Detokenize(&skipping, back, &text).ok());
  EXPECT_EQ(text.text(), "a");
}

TEST(Tokenize, SpecialTokensMayBeText) {
  RpcTestServer server;
  v1::TokenizeRequest request;
  request.set_text("<end>");
  request.set_special_as_text(true);
  v1::TokenizeResponse tokens;
  grpc::ClientContext context;
  ASSERT_TRUE(server.inference().Tokenize(&context, request, &tokens).ok());
  EXPECT_EQ(tokens.token_ids_size(), 5);
}

TEST(Tokenize, LongTextsRunOnTheTaskThread) {
  RpcTestServer server;
  v1::TokenizeRequest request;
  request.set_text(std::string(1 << 20, 'a'));
  v1::TokenizeResponse tokens;
  grpc::ClientContext context;
  ASSERT_TRUE(server.inference().Tokenize(&context, request, &tokens).ok());
  EXPECT_EQ(tokens.token_ids_size(), 1 << 20);
}

TEST(Tokenize, RefusesAnotherModelAndAForeignId) {
  RpcTestServer server;
  v1::TokenizeRequest request;
  request.set_model("other");
  v1::TokenizeResponse tokens;
  grpc::ClientContext tokenize;
  EXPECT_EQ(server.inference().Tokenize(&tokenize, request, &tokens).error_code(),
            grpc::StatusCode::NOT_FOUND);
  v1::DetokenizeRequest back;
  back.add_token_ids(1000);
  v1::DetokenizeResponse text;
  grpc::ClientContext detokenize;
  EXPECT_EQ(server.inference().Detokenize(&detokenize, back, &text).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

}  // namespace
}  // namespace spearfish::worker
