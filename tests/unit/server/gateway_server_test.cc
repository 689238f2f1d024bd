#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/server/gateway_server_fixture.h"

namespace spearfish::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr absl::Duration kShortPatience = absl::Milliseconds(100);

std::vector<uint32_t> Tokens(const std::vector<v1::GenerateStreamResponse>& messages) {
  std::vector<uint32_t> tokens;
  for (const auto& message : messages) {
    for (const uint32_t id : message.delta().token_ids()) tokens.push_back(id);
  }
  return tokens;
}

TEST_F(GatewayServerTest, ForwardsAStreamAndNamesTheWorker) {
  FakeWorker worker;
  Start({&worker});
  AwaitReady(1);
  std::vector<v1::GenerateStreamResponse> messages;
  ASSERT_TRUE(Stream(messages).ok());
  ASSERT_EQ(messages.size(), 5u);
  EXPECT_EQ(messages[0].prompt_info().routed_worker(), worker.address());
  EXPECT_FALSE(messages[0].prompt_info().request_id().empty());
  EXPECT_THAT(Tokens(messages), ElementsAre(10, 11, 12));
  EXPECT_EQ(messages[4].finish().finish_reason(), v1::FINISH_REASON_LENGTH);
}

TEST_F(GatewayServerTest, IsUnavailableWithoutAReadyWorker) {
  patience_ = kShortPatience;
  FakeWorker worker;
  worker.ready = false;
  Start({&worker});
  std::vector<v1::GenerateStreamResponse> messages;
  const grpc::Status status = Stream(messages);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), HasSubstr("no worker is ready: 1 known"));
  EXPECT_EQ(worker.calls, 0);
}

TEST_F(GatewayServerTest, SpreadsRequestsOverIdleWorkers) {
  FakeWorker first;
  FakeWorker second;
  Start({&first, &second});
  AwaitReady(2);
  std::set<std::string> routed;
  for (int i = 0; i < 2; ++i) {
    std::vector<v1::GenerateStreamResponse> messages;
    ASSERT_TRUE(Stream(messages).ok());
    routed.insert(messages[0].prompt_info().routed_worker());
  }
  EXPECT_EQ(routed.size(), 2u);
}

TEST_F(GatewayServerTest, PrefersTheLessLoadedWorker) {
  FakeWorker busy;
  FakeWorker idle;
  busy.running = 7;
  Start({&busy, &idle});
  AwaitReady(2);
  for (int i = 0; i < 4; ++i) {
    std::vector<v1::GenerateStreamResponse> messages;
    ASSERT_TRUE(Stream(messages).ok());
    EXPECT_EQ(messages[0].prompt_info().routed_worker(), idle.address());
  }
}

TEST_F(GatewayServerTest, TriesAnotherWorkerBeforeTheFirstMessage) {
  FakeWorker failing;
  FakeWorker healthy;
  failing.failure = grpc::Status(grpc::StatusCode::UNAVAILABLE, "loading");
  failing.fail_after_messages = 0;
  healthy.running = 5;  // so that the failing one is tried first
  Start({&failing, &healthy});
  AwaitReady(2);
  std::vector<v1::GenerateStreamResponse> messages;
  ASSERT_TRUE(Stream(messages).ok());
  EXPECT_EQ(failing.calls, 1);
  EXPECT_THAT(Tokens(messages), ElementsAre(10, 11, 12));
}

TEST_F(GatewayServerTest, AWorkerLostBeforeTheFirstTokenIsUnavailableHoweverItEnded) {
  patience_ = kShortPatience;
  FakeWorker stopping;
  stopping.failure = grpc::Status(grpc::StatusCode::CANCELLED, "grace is over");
  stopping.fail_after_messages = 0;
  Start({&stopping});
  AwaitReady(1);
  std::vector<v1::GenerateStreamResponse> messages;
  const grpc::Status status = Stream(messages);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), HasSubstr("grace is over"));
}

TEST_F(GatewayServerTest, ARequestThatMeetsItselfGoesOn) {
  FakeWorker failing;
  FakeWorker ending;
  FakeWorker healthy;
  failing.failure = grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
  failing.fail_after_messages = 0;
  ending.failure = grpc::Status(grpc::StatusCode::ALREADY_EXISTS, "request_id is running");
  ending.fail_after_messages = 0;
  ending.running = 5;
  healthy.running = 10;
  Start({&failing, &ending, &healthy});
  AwaitReady(3);
  std::vector<v1::GenerateStreamResponse> messages;
  ASSERT_TRUE(Stream(messages).ok());
  EXPECT_EQ(ending.calls, 1);
  EXPECT_THAT(Tokens(messages), ElementsAre(10, 11, 12));
}

TEST_F(GatewayServerTest, ARequestIdThatRunsIsTheClientsMistake) {
  FakeWorker worker;
  worker.failure = grpc::Status(grpc::StatusCode::ALREADY_EXISTS, "request_id is running");
  worker.fail_after_messages = 0;
  Start({&worker});
  AwaitReady(1);
  std::vector<v1::GenerateStreamResponse> messages;
  EXPECT_EQ(Stream(messages).error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(worker.calls, 1);
}

TEST_F(GatewayServerTest, DoesNotRetryWhatTheWorkerRefused) {
  FakeWorker refusing;
  FakeWorker other;
  refusing.failure = grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "empty prompt");
  refusing.fail_after_messages = 0;
  other.running = 5;
  Start({&refusing, &other});
  AwaitReady(2);
  std::vector<v1::GenerateStreamResponse> messages;
  const grpc::Status status = Stream(messages);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "empty prompt");
  EXPECT_EQ(other.calls, 0);
}

TEST_F(GatewayServerTest, SaysWorkerLostWithTheTokensDelivered) {
  patience_ = kShortPatience;
  FakeWorker worker;
  worker.failure = grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
  worker.fail_after_messages = 3;
  worker.unready_when_failing = true;
  Start({&worker});
  AwaitReady(1);
  std::vector<v1::GenerateStreamResponse> messages;
  const grpc::Status status = Stream(messages);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  google::rpc::ErrorInfo info;
  ASSERT_EQ(details.details_size(), 1);
  ASSERT_TRUE(details.details(0).UnpackTo(&info));
  EXPECT_EQ(info.reason(), "WORKER_LOST");
  EXPECT_EQ(info.metadata().at("tokens_delivered"), "2");
}

// One PromptInfo, each token once, one Finish with the usage of all.
void ExpectWhole(const std::vector<v1::GenerateStreamResponse>& messages, int num_tokens) {
  std::vector<uint32_t> expected;
  for (int i = 0; i < num_tokens; ++i) expected.push_back(static_cast<uint32_t>(10 + i));
  EXPECT_EQ(Tokens(messages), expected);
  ASSERT_EQ(messages.size(), expected.size() + 2);
  EXPECT_TRUE(messages.front().has_prompt_info());
  EXPECT_EQ(messages.back().finish().usage().completion_tokens(), expected.size());
}

TEST_F(GatewayServerTest, GoesOnAtAnotherWorkerWhereTheLostOneStopped) {
  FakeWorker dying;
  FakeWorker other;
  dying.failure = grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
  dying.fail_after_messages = 3;
  dying.num_tokens = other.num_tokens = 6;
  other.running = 5;  // so that the dying one is tried first
  Start({&dying, &other});
  AwaitReady(2);
  std::vector<v1::GenerateStreamResponse> messages;
  ASSERT_TRUE(Stream(messages).ok());
  ExpectWhole(messages, 6);
  EXPECT_EQ(other.calls, 1);
  const v1::GenerateStreamRequest first = dying.last_request();
  const v1::GenerateStreamRequest resumed = other.last_request();
  EXPECT_EQ(resumed.request_id(), first.request_id());
  ASSERT_TRUE(first.sampling().has_seed());
  EXPECT_EQ(resumed.sampling().seed(), first.sampling().seed());
  ASSERT_EQ(resumed.resume().sequences_size(), 1);
  EXPECT_THAT(resumed.resume().sequences(0).generated_ids(), ElementsAre(10, 11));
}

TEST_F(GatewayServerTest, GoesOnHoweverOftenWorkersAreLost) {
  FakeWorker worker;
  worker.failure = grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
  worker.fail_after_messages = 2;  // one token a life
  worker.num_tokens = 12;
  Start({&worker});
  AwaitReady(1);
  std::vector<v1::GenerateStreamResponse> messages;
  const grpc::Status status = Stream(messages);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ExpectWhole(messages, 12);
  // The last life had the Finish alone to send, which is one message after its PromptInfo.
  EXPECT_EQ(worker.calls, 13);
}

TEST_F(GatewayServerTest, GivesUpARequestThatEndsEveryWorker) {
  FakeWorker worker;
  worker.failure = grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
  worker.fail_after_messages = 1;  // before any token
  Start({&worker});
  AwaitReady(1);
  std::vector<v1::GenerateStreamResponse> messages;
  EXPECT_EQ(Stream(messages).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_GT(worker.calls, 1);
  EXPECT_LT(worker.calls, 20);
}

TEST_F(GatewayServerTest, LosesNothingWhenTheWorkerDiesAfterTheLastMessage) {
  FakeWorker worker;
  worker.failure = grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
  worker.fail_after_messages = 5;
  worker.fail_at_end = true;
  Start({&worker});
  AwaitReady(1);
  std::vector<v1::GenerateStreamResponse> messages;
  EXPECT_TRUE(Stream(messages).ok());
  ExpectWhole(messages, 3);
  EXPECT_EQ(worker.calls, 1);
}

TEST_F(GatewayServerTest, WaitsAMomentForAWorkerToComeBack) {
  FakeWorker worker;
  worker.ready = false;
  Start({&worker});
  std::thread recovery([&worker] {
    std::this_thread::yield();
    worker.ready = true;
  });
  std::vector<v1::GenerateStreamResponse> messages;
  EXPECT_TRUE(Stream(messages).ok());
  recovery.join();
}

TEST_F(GatewayServerTest, FollowsTheWorkersFile) {
  FakeWorker first;
  FakeWorker second;
  const tests::TempDir folder;
  const std::string path = folder.File("workers");
  const auto write = [&path](const std::string& text) {
    std::ofstream(path + ".new") << text;
    std::filesystem::rename(path + ".new", path);
  };
  write("# workers\n" + first.address() + "\n");
  GatewayOptions options;
  options.listen = "127.0.0.1:0";
  options.poll_interval = absl::Milliseconds(20);
  options.discovery_interval = absl::Milliseconds(20);
  options.workers_file = path;
  StartWith(options);
  AwaitReady(1);
  write(first.address() + "\n" + second.address() + " # new\n");
  AwaitReady(2);
  write(second.address() + "\n");
  AwaitReady(1);
  std::vector<v1::GenerateStreamResponse> messages;
  ASSERT_TRUE(Stream(messages).ok());
  EXPECT_EQ(messages[0].prompt_info().routed_worker(), second.address());
  write("");  // refused: the workers stay
  messages.clear();
  EXPECT_TRUE(Stream(messages).ok());
}

TEST_F(GatewayServerTest, PassesACancelOnToTheWorker) {
  FakeWorker worker;
  worker.hang = true;
  Start({&worker});
  AwaitReady(1);
  grpc::ClientContext context;
  v1::GenerateStreamRequest request;
  request.mutable_token_ids()->add_ids(1);
  const auto reader = inference_->GenerateStream(&context, request);
  v1::GenerateStreamResponse message;
  ASSERT_TRUE(reader->Read(&message));
  context.TryCancel();
  while (reader->Read(&message)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(worker.cancelled.WaitForNotificationWithTimeout(absl::FromChrono(kPatience)));
}

TEST_F(GatewayServerTest, PassesTheDeadlineOn) {
  FakeWorker worker;
  worker.hang = true;
  Start({&worker});
  AwaitReady(1);
  // On a loaded machine a deadline may pass before the worker has the call.
  for (int seconds = 1; worker.calls == 0 && seconds < 60; seconds *= 2) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(seconds));
    v1::GenerateResponse response;
    EXPECT_EQ(inference_->Generate(&context, v1::GenerateRequest(), &response).error_code(),
              grpc::StatusCode::DEADLINE_EXCEEDED);
  }
  EXPECT_TRUE(worker.cancelled.WaitForNotificationWithTimeout(absl::FromChrono(kPatience)));
}

TEST_F(GatewayServerTest, UnaryKeepsTheClientsIdAndThePushback) {
  FakeWorker worker;
  Start({&worker});
  AwaitReady(1);
  v1::GenerateRequest request;
  request.set_request_id("mine");
  v1::GenerateResponse response;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(inference_->Generate(&context, request, &response).ok());
  }
  EXPECT_EQ(worker.last_request_id(), "mine");
  EXPECT_EQ(response.prompt_info().routed_worker(), worker.address());
  worker.failure = grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "queue full");
  worker.fail_after_messages = 0;
  grpc::ClientContext context;
  const grpc::Status status = inference_->Generate(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto pushback = trailers.find("grpc-retry-pushback-ms");
  ASSERT_NE(pushback, trailers.end());
  EXPECT_EQ(std::string(pushback->second.data(), pushback->second.size()), "250");
}

TEST_F(GatewayServerTest, AsksEveryWorkerToAbortAndForCacheStats) {
  FakeWorker first;
  FakeWorker second;
  second.set_last_request_id("b");
  Start({&first, &second});
  AwaitReady(2);
  v1::AbortRequest request;
  request.add_request_ids("a");
  request.add_request_ids("b");
  // Workers that are slow to answer are left out: again until all are in.
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  v1::AbortResponse aborted;
  do {
    grpc::ClientContext context;
    ASSERT_TRUE(control_->Abort(&context, request, &aborted).ok());
  } while (aborted.aborted_request_ids().empty() && std::chrono::steady_clock::now() < deadline);
  EXPECT_THAT(aborted.aborted_request_ids(), ElementsAre("b"));
  v1::GetExpertCacheStatsResponse stats;
  do {
    grpc::ClientContext context;
    ASSERT_TRUE(
        control_->GetExpertCacheStats(&context, v1::GetExpertCacheStatsRequest(), &stats).ok());
  } while (stats.workers_size() < 2 && std::chrono::steady_clock::now() < deadline);
  ASSERT_EQ(stats.workers_size(), 2);
  EXPECT_EQ(stats.workers(0).address(), first.address());
  EXPECT_EQ(stats.workers(1).address(), second.address());
}

TEST_F(GatewayServerTest, NoticesAWorkerThatIsNotReadyAnyMore) {
  FakeWorker worker;
  Start({&worker});
  AwaitReady(1);
  worker.ready = false;
  AwaitReady(0);
}

TEST_F(GatewayServerTest, RefusesWhenDraining) {
  FakeWorker worker;
  Start({&worker});
  AwaitReady(1);
  v1::DrainResponse drained;
  grpc::ClientContext context;
  ASSERT_TRUE(control_->Drain(&context, v1::DrainRequest(), &drained).ok());
  std::vector<v1::GenerateStreamResponse> messages;
  const grpc::Status status = Stream(messages);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), HasSubstr("draining"));
}

TEST_F(GatewayServerTest, UnknownMethodIsUnimplemented) {
  FakeWorker worker;
  Start({&worker});
  grpc::TemplatedGenericStub<v1::AbortRequest, v1::AbortResponse> generic(channel_);
  grpc::ClientContext context;
  v1::AbortRequest request;
  v1::AbortResponse response;
  absl::Notification done;
  grpc::Status status;
  generic.UnaryCall(&context, "/spearfish.v1.InferenceService/Nothing", {}, &request, &response,
                    [&](const grpc::Status& result) {
                      status = result;
                      done.Notify();
                    });
  ASSERT_TRUE(done.WaitForNotificationWithTimeout(absl::FromChrono(kPatience)));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

TEST(GatewayOptionsTest, NamesTheFlag) {
  EXPECT_THAT(GatewayOptions().Validate().message(), HasSubstr("--workers"));
  EXPECT_THAT(GatewayServer::Create({.workers = {"a", "a"}}).status().message(),
              HasSubstr("repeated worker address: 'a'"));
  EXPECT_THAT(GatewayServer::Create({.workers_file = "/nonexistent"}).status().message(),
              HasSubstr("can't read the workers file: /nonexistent"));
}

}  // namespace
}  // namespace spearfish::server
