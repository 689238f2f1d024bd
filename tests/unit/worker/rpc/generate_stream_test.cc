#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/unit/worker/rpc/rpc_test_server.h"

namespace spearfish::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Stream {
  grpc::ClientContext context;
  std::unique_ptr<StreamReader> reader;
};

std::unique_ptr<Stream> Open(RpcTestServer& server, const v1::GenerateStreamRequest& request) {
  auto stream = std::make_unique<Stream>();
  stream->reader = server.inference().GenerateStream(&stream->context, request);
  return stream;
}

grpc::Status Status(RpcTestServer& server, const v1::GenerateStreamRequest& request) {
  return FinishReading(*Open(server, request)->reader);
}

TEST(GenerateStream, DeliversPromptDeltasAndFinishInOrder) {
  RpcTestServer server;
  const auto stream = Open(server, StreamRequest("a"));
  EXPECT_EQ(server.engine().TakeRequest().prompt, std::vector<TokenId>{1});
  PromptDone prompt;
  prompt.num_prompt_tokens = 1;
  server.engine().Emit("a", prompt);
  v1::GenerateStreamResponse message;
  ASSERT_TRUE(stream->reader->Read(&message));
  EXPECT_EQ(message.prompt_info().request_id(), "a");
  EXPECT_EQ(message.prompt_info().num_prompt_tokens(), 1u);

  server.engine().EmitTokens("a", {5}, "five");
  ASSERT_TRUE(stream->reader->Read(&message));
  EXPECT_THAT(message.delta().token_ids(), ElementsAre(5));
  EXPECT_EQ(message.delta().text(), "five");

  SequenceFinished finished;
  finished.matched = StopStringMatch{"ve"};
  finished.num_completion_tokens = 1;
  finished.experts.misses = 8;
  server.engine().Emit("a", finished);
  ASSERT_TRUE(stream->reader->Read(&message));
  EXPECT_EQ(message.finish().finish_reason(), v1::FINISH_REASON_STOP);
  EXPECT_EQ(message.finish().stop_string(), "ve");
  EXPECT_EQ(message.finish().usage().completion_tokens(), 1u);
  EXPECT_EQ(message.finish().experts().misses(), 8u);
  EXPECT_FALSE(stream->reader->Read(&message));
  EXPECT_TRUE(FinishReading(*stream->reader).ok());
}

TEST(GenerateStream, EndsAfterTheLastOfSeveralSequences) {
  RpcTestServer server;
  v1::GenerateStreamRequest request = StreamRequest("a");
  request.mutable_sampling()->set_num_sequences(2);
  const auto stream = Open(server, request);
  server.engine().TakeRequest();
  for (const uint32_t index : {1u, 0u}) {
    SequenceFinished finished;
    finished.index = index;
    server.engine().Emit("a", finished);
  }
  std::vector<uint32_t> order;
  v1::GenerateStreamResponse message;
  while (stream->reader->Read(&message)) order.push_back(message.finish().index());
  EXPECT_THAT(order, ElementsAre(1, 0));
  EXPECT_TRUE(FinishReading(*stream->reader).ok());
}

// 4 MB that the client doesn't read fill every window on the way; what follows has to wait.
TEST(GenerateStream, MergesDeltasBehindASlowClientAndLosesNone) {
  constexpr uint32_t kTokens = 8000;
  RpcTestServer server;
  const auto stream = Open(server, StreamRequest("a"));
  server.engine().TakeRequest();
  const std::string text(512, 'x');
  std::vector<TokenId> sent(kTokens);
  std::iota(sent.begin(), sent.end(), 0);
  for (const TokenId token : sent) server.engine().EmitTokens("a", {token}, text);
  server.engine().EmitFinish("a");
  while (server.engine().num_live() != 0) std::this_thread::yield();  // all of it is queued

  std::vector<TokenId> received;
  size_t text_bytes = 0;
  size_t num_deltas = 0;
  size_t largest = 0;
  v1::GenerateStreamResponse message;
  while (stream->reader->Read(&message)) {
    if (!message.has_delta()) continue;
    ++num_deltas;
    text_bytes += message.delta().text().size();
    largest = std::max(largest, message.ByteSizeLong());
    received.insert(received.end(), message.delta().token_ids().begin(),
                    message.delta().token_ids().end());
  }
  EXPECT_TRUE(FinishReading(*stream->reader).ok());
  EXPECT_EQ(received, sent);
  EXPECT_EQ(text_bytes, kTokens * text.size());
  EXPECT_LT(num_deltas, kTokens);
  EXPECT_LT(largest, size_t{1} << 20);
}

TEST(GenerateStream, CancellationAbortsTheRequestInTheEngine) {
  RpcTestServer server;
  const auto stream = Open(server, StreamRequest("a"));
  server.engine().TakeRequest();
  server.engine().EmitTokens("a", {1});
  v1::GenerateStreamResponse message;
  ASSERT_TRUE(stream->reader->Read(&message));
  stream->context.TryCancel();
  server.engine().WaitForAbort("a");
  EXPECT_EQ(FinishReading(*stream->reader).error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(server.engine().WaitIdle(absl::InfiniteDuration()));
}

TEST(GenerateStream, EventsAfterACancellationAreDropped) {
  RpcTestServer server;
  const auto stream = Open(server, StreamRequest("a"));
  server.engine().TakeRequest();
  stream->context.TryCancel();
  server.engine().WaitForAbort("a");
  server.engine().EmitTokens("a", {1});
  EXPECT_EQ(FinishReading(*stream->reader).error_code(), grpc::StatusCode::CANCELLED);
  server.Shutdown(absl::InfiniteDuration());  // returns: no call is left behind
}

TEST(GenerateStream, DeadlineReachesTheEngineAndEndsTheCall) {
  RpcTestServer server;
  const absl::Time before = absl::Now();
  auto stream = std::make_unique<Stream>();
  stream->context.set_deadline(absl::ToChronoTime(before + absl::Hours(1)));
  stream->reader = server.inference().GenerateStream(&stream->context, StreamRequest("a"));
  const GenerationRequest request = server.engine().TakeRequest();
  EXPECT_GT(request.deadline, before + absl::Minutes(59));
  EXPECT_LT(request.deadline, before + absl::Minutes(61));
  server.engine().Emit("a", RequestFailed{absl::DeadlineExceededError("deadline passed")});
  EXPECT_EQ(FinishReading(*stream->reader).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST(GenerateStream, NoDeadlineIsInfinite) {
  RpcTestServer server;
  const auto stream = Open(server, StreamRequest("a"));
  EXPECT_EQ(server.engine().TakeRequest().deadline, absl::InfiniteFuture());
  server.engine().EmitFinish("a");
  EXPECT_TRUE(FinishReading(*stream->reader).ok());
}

TEST(GenerateStream, DeadlineOfOneMillisecond) {
  RpcTestServer server;
  for (int i = 0; i < 50; ++i) {
    Stream stream;
    stream.context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(1));
    stream.reader = server.inference().GenerateStream(&stream.context, StreamRequest(""));
    EXPECT_EQ(FinishReading(*stream.reader).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  }
  server.Shutdown(absl::InfiniteDuration());
  EXPECT_EQ(server.engine().num_live(), 0u);  // each that got there was aborted
}

TEST(GenerateStream, EngineRefusalsKeepTheirCode) {
  RpcTestServer server;
  const std::vector<std::pair<absl::Status, grpc::StatusCode>> table = {
      {absl::InvalidArgumentError("bad"), grpc::StatusCode::INVALID_ARGUMENT},
      {absl::AlreadyExistsError("live"), grpc::StatusCode::ALREADY_EXISTS},
      {absl::UnavailableError("draining"), grpc::StatusCode::UNAVAILABLE},
      {absl::DataLossError("checksum"), grpc::StatusCode::DATA_LOSS},
      {absl::InternalError("bug"), grpc::StatusCode::INTERNAL},
  };
  for (const auto& [refusal, code] : table) {
    server.engine().RefuseWith(refusal);
    const grpc::Status status = Status(server, StreamRequest("a"));
    EXPECT_EQ(status.error_code(), code);
    EXPECT_EQ(status.error_message(), refusal.message());
  }
}

TEST(GenerateStream, AFullQueueSaysWhenToRetry) {
  RpcTestServer server;
  server.engine().RefuseWith(absl::ResourceExhaustedError("queue full"));
  const auto stream = Open(server, StreamRequest("a"));
  const grpc::Status status = FinishReading(*stream->reader);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  google::rpc::Status details;
  google::rpc::RetryInfo retry;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  ASSERT_EQ(details.details_size(), 1);
  ASSERT_TRUE(details.details(0).UnpackTo(&retry));
  EXPECT_EQ(retry.retry_delay().seconds(), 1);
  const auto& trailers = stream->context.GetServerTrailingMetadata();
  const auto pushback = trailers.find("grpc-retry-pushback-ms");
  ASSERT_NE(pushback, trailers.end());
  EXPECT_EQ(std::string(pushback->second.data(), pushback->second.size()), "1000");
}

TEST(GenerateStream, BadRequestsNameTheField) {
  RpcTestServer server;
  v1::GenerateStreamRequest request = StreamRequest("a");
  request.mutable_token_ids()->add_ids(kTestVocabSize);
  grpc::Status status = Status(server, request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("token_ids[1] 300"));

  request = StreamRequest("a");
  request.set_model("other");
  status = Status(server, request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);

  request = StreamRequest("a");
  request.mutable_chat();
  EXPECT_EQ(Status(server, request).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(server.engine().num_submitted(), 0u);
}

TEST(GenerateStream, FailureAfterTheFirstTokensDeliversThem) {
  RpcTestServer server;
  const auto stream = Open(server, StreamRequest("a"));
  server.engine().TakeRequest();
  server.engine().EmitTokens("a", {4});
  server.engine().Emit("a", RequestFailed{absl::UnavailableError("engine stopped")});
  v1::GenerateStreamResponse message;
  ASSERT_TRUE(stream->reader->Read(&message));
  EXPECT_THAT(message.delta().token_ids(), ElementsAre(4));
  EXPECT_FALSE(stream->reader->Read(&message));
  EXPECT_EQ(FinishReading(*stream->reader).error_code(), grpc::StatusCode::UNAVAILABLE);
}

// gRPC clients retry on their own only as long as the server has sent no initial metadata.
TEST(GenerateStream, AClientMayRetryUntilTheFirstMessage) {
  RpcTestServer server(RpcTestServer::Begin::kReady, "127.0.0.1:0", R"({"methodConfig": [{
      "name": [{"service": "spearfish.v1.InferenceService"}],
      "retryPolicy": {"maxAttempts": 2, "initialBackoff": "0.001s", "maxBackoff": "0.001s",
                      "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]})");
  const auto stream = Open(server, StreamRequest("a"));
  std::thread engine([&] {
    server.engine().TakeRequest();
    server.engine().Emit("a", RequestFailed{absl::UnavailableError("lost")});
    server.engine().TakeRequest();  // the second attempt
    server.engine().EmitFinish("a");
  });
  EXPECT_TRUE(FinishReading(*stream->reader).ok());
  engine.join();
}

TEST(GenerateStream, RequestIdsAreMadeWhenEmpty) {
  RpcTestServer server;
  const auto first = Open(server, StreamRequest(""));
  const std::string first_id = server.engine().TakeRequest().request_id;
  const auto second = Open(server, StreamRequest(""));
  const std::string second_id = server.engine().TakeRequest().request_id;
  EXPECT_FALSE(first_id.empty());
  EXPECT_NE(first_id, second_id);
  server.engine().Emit(first_id, PromptDone{});
  v1::GenerateStreamResponse message;
  ASSERT_TRUE(first->reader->Read(&message));
  EXPECT_EQ(message.prompt_info().request_id(), first_id);
  server.engine().EmitFinish(first_id);
  server.engine().EmitFinish(second_id);
  EXPECT_TRUE(FinishReading(*first->reader).ok());
  EXPECT_TRUE(FinishReading(*second->reader).ok());
}

TEST(GenerateStream, TakesLargePrompts) {
  constexpr uint32_t kTokens = kTestMaxModelLen;
  RpcTestServer server;
  v1::GenerateStreamRequest request;
  request.set_request_id("ids");
  for (uint32_t i = 0; i < kTokens; ++i) request.mutable_token_ids()->add_ids(i % kTestVocabSize);
  const auto ids = Open(server, request);
  EXPECT_EQ(server.engine().TakeRequest().prompt.size(), kTokens);

  request.set_request_id("text");
  request.set_text(std::string(kTokens, 'a'));
  const auto text = Open(server, request);
  const GenerationRequest converted = server.engine().TakeRequest();
  EXPECT_EQ(converted.prompt.size(), kTokens);
  EXPECT_TRUE(converted.output.text);

  request.mutable_text()->push_back('a');
  const grpc::Status status = Status(server, request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("1048577 tokens"));
  server.engine().EmitFinish("ids");
  server.engine().EmitFinish("text");
  EXPECT_TRUE(FinishReading(*ids->reader).ok());
  EXPECT_TRUE(FinishReading(*text->reader).ok());
}

TEST(GenerateStream, ManyStreamsAtOnce) {
  constexpr int kStreams = 500;
  RpcTestServer server;
  server.engine().AnswerWith(10);
  std::vector<std::unique_ptr<Stream>> streams;
  for (int i = 0; i < kStreams; ++i) streams.push_back(Open(server, StreamRequest("")));
  for (const auto& stream : streams) {
    std::vector<TokenId> ids;
    v1::GenerateStreamResponse message;
    while (stream->reader->Read(&message)) {
      ids.insert(ids.end(), message.delta().token_ids().begin(), message.delta().token_ids().end());
    }
    EXPECT_THAT(ids, ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
    EXPECT_TRUE(FinishReading(*stream->reader).ok());
  }
}

}  // namespace
}  // namespace spearfish::worker
