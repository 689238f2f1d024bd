#include "common/vllm_engine/vllm_engine_service.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "common/rpc/caller_identity.h"
#include "tests/unit/vllm_engine/fake_spearfish.h"

namespace spearfish::vllm_engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::chrono::seconds kPatience{60};

v1::GenerateStreamResponse Delta(const std::vector<uint32_t>& ids) {
  v1::GenerateStreamResponse event;
  event.mutable_delta()->mutable_token_ids()->Add(ids.begin(), ids.end());
  return event;
}

v1::GenerateStreamResponse Finish() {
  v1::GenerateStreamResponse event;
  event.mutable_finish()->set_finish_reason(v1::FINISH_REASON_STOP);
  return event;
}

// VllmEngine and what it forwards to in one server, and a router's client.
class VllmEngineServiceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&inference_);
    builder.RegisterService(&control_);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);  // windows stay small
    channel_ = grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(port),
                                         grpc::InsecureChannelCredentials(), arguments);
    client_ = wire::VllmEngine::NewStub(channel_);
    ASSERT_TRUE(channel_->WaitForConnected(std::chrono::system_clock::now() + kPatience));
  }

  void TearDown() override {
    script_.released.Set();
    server_->Shutdown(std::chrono::system_clock::now() + kPatience);
    server_->Wait();
  }

  void Connect() { service_.Connect(ChannelTo(*server_)); }

  static std::unique_ptr<grpc::ClientContext> Context() {
    auto context = std::make_unique<grpc::ClientContext>();
    context->set_deadline(std::chrono::system_clock::now() + kPatience);
    return context;
  }

  static wire::GenerateRequest Request() {
    wire::GenerateRequest request;
    request.set_request_id("r");
    request.mutable_tokenized()->add_input_ids(1);
    request.set_stream(true);
    return request;
  }

  grpc::Status Generate(const wire::GenerateRequest& request,
                        std::vector<wire::GenerateResponse>& responses) {
    last_context_ = Context();
    const auto reader = client_->Generate(last_context_.get(), request);
    wire::GenerateResponse response;
    while (reader->Read(&response)) responses.push_back(response);
    return reader->Finish();
  }

  std::vector<uint32_t> PromptSeen() const {
    const SeenCall call = script_.seen();
    return {call.request.token_ids().ids().begin(), call.request.token_ids().ids().end()};
  }

  Script script_;
  FakeInference inference_{script_};
  FakeControl control_;
  VllmEngineService service_{[](const grpc::ServerContextBase&) { return "host-7"; }};
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<wire::VllmEngine::Stub> client_;
  std::unique_ptr<grpc::ClientContext> last_context_;
};

TEST_F(VllmEngineServiceTest, StreamsWhatSpearfishAnswers) {
  Connect();
  script_.events = {Delta({10, 11}), Delta({12}), Finish()};
  std::vector<wire::GenerateResponse> responses;
  const grpc::Status status = Generate(Request(), responses);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(responses.size(), 3u);
  EXPECT_THAT(responses[0].chunk().token_ids(), ElementsAre(10, 11));
  EXPECT_THAT(responses[1].chunk().token_ids(), ElementsAre(12));
  EXPECT_THAT(responses[2].complete().output_ids(), ElementsAre(12));
  EXPECT_EQ(script_.seen().request.request_id(), "r");
  EXPECT_THAT(PromptSeen(), ElementsAre(1));
}

TEST_F(VllmEngineServiceTest, AnswersWholeWithoutStream) {
  Connect();
  script_.events = {Delta({10, 11}), Delta({12}), Finish()};
  wire::GenerateRequest request = Request();
  request.set_stream(false);
  std::vector<wire::GenerateResponse> responses;
  ASSERT_TRUE(Generate(request, responses).ok());
  ASSERT_EQ(responses.size(), 1u);
  EXPECT_THAT(responses[0].complete().output_ids(), ElementsAre(10, 11, 12));
}

TEST_F(VllmEngineServiceTest, TokenisesATextThatIsToBeTruncated) {
  Connect();
  script_.events = {Finish()};
  wire::GenerateRequest request = Request();
  request.set_text("abc");
  request.mutable_sampling_params()->set_truncate_prompt_tokens(2);
  std::vector<wire::GenerateResponse> responses;
  ASSERT_TRUE(Generate(request, responses).ok());
  EXPECT_THAT(PromptSeen(), ElementsAre('b', 'c'));
}

TEST_F(VllmEngineServiceTest, NamesTheFirstTokenOfAScoredText) {
  Connect();
  script_.events = {v1::GenerateStreamResponse(), Delta({10}), Finish()};
  script_.events[0].mutable_prompt_info()->set_num_prompt_tokens(1);
  wire::GenerateRequest request = Request();
  request.set_text("a");
  request.mutable_sampling_params()->set_prompt_logprobs(0);
  std::vector<wire::GenerateResponse> responses;
  ASSERT_TRUE(Generate(request, responses).ok());
  EXPECT_THAT(responses.at(0).chunk().input_logprobs().token_ids(), ElementsAre('a'));
}

TEST_F(VllmEngineServiceTest, PassesTheStatusOnWithDetailsAndPushback) {
  Connect();
  script_.status = grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "queue is full", "details");
  std::vector<wire::GenerateResponse> responses;
  const grpc::Status status = Generate(Request(), responses);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(status.error_message(), "queue is full");
  EXPECT_EQ(status.error_details(), "details");
  const auto& trailers = last_context_->GetServerTrailingMetadata();
  const auto pushback = trailers.find("grpc-retry-pushback-ms");
  ASSERT_NE(pushback, trailers.end());
  EXPECT_EQ(pushback->second, "250");
}

TEST_F(VllmEngineServiceTest, RefusesWhatItCannotSayWithoutAsking) {
  Connect();
  wire::GenerateRequest request = Request();
  request.mutable_sampling_params()->set_regex("a+");
  std::vector<wire::GenerateResponse> responses;
  const grpc::Status status = Generate(request, responses);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("regex"));
  EXPECT_EQ(script_.seen().request.request_id(), "");
}

TEST_F(VllmEngineServiceTest, ForwardsDeadlineTraceAndCallerButNoSecret) {
  Connect();
  auto context = Context();
  context->AddMetadata("authorization", "Bearer x");
  const auto reader = client_->Generate(context.get(), Request());
  ASSERT_TRUE(reader->Finish().ok());
  EXPECT_TRUE(script_.seen().has_deadline);
  EXPECT_EQ(script_.seen().authorization, "");
  EXPECT_EQ(script_.seen().caller, "host-7");
}

TEST_F(VllmEngineServiceTest, BelievesNoCallerFromOutside) {
  const auto direct = v1::InferenceService::NewStub(channel_);
  auto context = Context();
  context->AddMetadata(kCallerMetadataKey, "somebody-else");
  const auto reader = direct->GenerateStream(context.get(), v1::GenerateStreamRequest());
  ASSERT_TRUE(reader->Finish().ok());
  EXPECT_THAT(script_.seen().caller, HasSubstr("127.0.0.1"));
}

TEST_F(VllmEngineServiceTest, CancelsWhatItForwarded) {
  Connect();
  script_.events = {Delta({10})};
  script_.hold = true;
  auto context = Context();
  const auto reader = client_->Generate(context.get(), Request());
  wire::GenerateResponse response;
  ASSERT_TRUE(reader->Read(&response));
  context->TryCancel();
  EXPECT_TRUE(script_.cancelled.Await());
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(VllmEngineServiceTest, HoldsTheStreamBackForASlowRouter) {
  Connect();
  constexpr int kNumDeltas = 200;
  constexpr int kMostAhead = 20;  // what sockets and windows hold, in messages of 128 KiB
  script_.events.assign(kNumDeltas, Delta(std::vector<uint32_t>(32768, 1u << 28)));
  auto context = Context();
  const auto reader = client_->Generate(context.get(), Request());
  wire::GenerateResponse response;
  int num_read = 0;
  while (reader->Read(&response)) {
    ++num_read;
    ASSERT_LE(script_.num_written - num_read, kMostAhead);
  }
  EXPECT_EQ(num_read, kNumDeltas);
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(VllmEngineServiceTest, IsUnavailableUntilConnected) {
  std::vector<wire::GenerateResponse> responses;
  EXPECT_EQ(Generate(Request(), responses).error_code(), grpc::StatusCode::UNAVAILABLE);
  wire::GetLoadsResponse loads;
  EXPECT_EQ(client_->GetLoads(Context().get(), {}, &loads).error_code(),
            grpc::StatusCode::UNAVAILABLE);
}

TEST_F(VllmEngineServiceTest, ForwardsAborts) {
  Connect();
  wire::AbortRequest request;
  request.add_request_ids("live");
  request.add_request_ids("unknown");
  wire::AbortResponse response;
  ASSERT_TRUE(client_->Abort(Context().get(), request, &response).ok());
  const v1::AbortRequest aborted = control_.aborted();
  EXPECT_THAT(aborted.request_ids(), ElementsAre("live", "unknown"));
}

TEST_F(VllmEngineServiceTest, TellsOfModelServerAndLoads) {
  Connect();
  wire::GetModelInfoResponse model;
  ASSERT_TRUE(client_->GetModelInfo(Context().get(), {}, &model).ok());
  EXPECT_EQ(model.served_model_name(), "qwen");
  wire::GetServerInfoResponse server;
  ASSERT_TRUE(client_->GetServerInfo(Context().get(), {}, &server).ok());
  EXPECT_EQ(server.server_type(), "spearfish-worker");
  EXPECT_EQ(server.active_requests(), 2u);
  EXPECT_EQ(server.last_receive_timestamp(), 0);
  wire::GetLoadsResponse loads;
  ASSERT_TRUE(client_->GetLoads(Context().get(), {}, &loads).ok());
  ASSERT_EQ(loads.loads_size(), 1);
  EXPECT_EQ(loads.loads(0).num_running_reqs(), 2);

  std::vector<wire::GenerateResponse> responses;
  ASSERT_TRUE(Generate(Request(), responses).ok());
  ASSERT_TRUE(client_->GetServerInfo(Context().get(), {}, &server).ok());
  EXPECT_GT(server.last_receive_timestamp(), 1e9);
}

TEST_F(VllmEngineServiceTest, PassesTheStatusOfAQuestionOn) {
  Connect();
  control_.model_status = grpc::Status(grpc::StatusCode::UNAVAILABLE, "model is loading");
  wire::GetModelInfoResponse model;
  const grpc::Status status = client_->GetModelInfo(Context().get(), {}, &model);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "model is loading");
}

TEST_F(VllmEngineServiceTest, IsHealthyWhileInferenceIsReady) {
  Connect();
  wire::HealthCheckResponse response;
  const auto check = [&] {
    EXPECT_TRUE(client_->HealthCheck(Context().get(), {}, &response).ok());
    return response.healthy();
  };
  server_->GetHealthCheckService()->SetServingStatus("spearfish.v1.InferenceService", false);
  EXPECT_FALSE(check());
  EXPECT_THAT(response.message(), HasSubstr("not ready"));
  server_->GetHealthCheckService()->SetServingStatus("spearfish.v1.InferenceService", true);
  EXPECT_TRUE(check());
}

TEST_F(VllmEngineServiceTest, LeavesTheRestUnimplemented) {
  Connect();
  wire::EmbedResponse embedding;
  EXPECT_EQ(client_->Embed(Context().get(), {}, &embedding).error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
  const auto tokenizer_context = Context();
  EXPECT_EQ(client_->GetTokenizer(tokenizer_context.get(), {})->Finish().error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
  const auto events_context = Context();
  EXPECT_EQ(client_->SubscribeKvEvents(events_context.get(), {})->Finish().error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(VllmEngineServiceTest, WaitsForTheCallsThatRun) {
  Connect();
  EXPECT_TRUE(service_.AwaitIdle(absl::ZeroDuration()));
  script_.events = {Delta({10})};
  script_.hold = true;
  auto context = Context();
  const auto reader = client_->Generate(context.get(), Request());
  ASSERT_TRUE(script_.begun.Await());
  EXPECT_FALSE(service_.AwaitIdle(absl::ZeroDuration()));
  script_.released.Set();
  EXPECT_TRUE(service_.AwaitIdle(absl::Seconds(60)));
  wire::GenerateResponse response;
  EXPECT_TRUE(reader->Read(&response));
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(VllmEngineServiceTest, DoesNotHoldUpAShutdownThatGivesNoGrace) {
  Connect();
  script_.events = {Delta({10})};
  script_.hold = true;
  auto context = Context();
  const auto reader = client_->Generate(context.get(), Request());
  ASSERT_TRUE(script_.begun.Await());
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
  EXPECT_TRUE(script_.cancelled.Await());
  wire::GenerateResponse response;
  while (reader->Read(&response)) {
  }
  EXPECT_FALSE(reader->Finish().ok());
}

}  // namespace
}  // namespace spearfish::vllm_engine
