// A gateway on fake workers and a client of it.
#ifndef TESTS_UNIT_SERVER_GATEWAY_SERVER_FIXTURE_H_
#define TESTS_UNIT_SERVER_GATEWAY_SERVER_FIXTURE_H_

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "server/gateway_server.h"
#include "tests/unit/server/fake_worker.h"

namespace spearfish::server {

// A gateway before one or more fake workers, and a client of it.
class GatewayServerTest : public ::testing::Test {
 protected:
  static constexpr std::chrono::seconds kPatience{20};

  void Start(const std::vector<const FakeWorker*>& workers) {
    GatewayOptions options;
    options.listen = "127.0.0.1:0";
    options.poll_interval = absl::Milliseconds(20);
    options.dispatch.retry.patience = patience_;
    for (const FakeWorker* worker : workers) options.workers.push_back(worker->address());
    StartWith(options);
  }

  void StartWith(const GatewayOptions& options) {
    auto gateway = GatewayServer::Create(
        options, [this](const GatewayServer& /*gateway*/, size_t num) { told_ready_ = num; });
    ASSERT_TRUE(gateway.ok()) << gateway.status();
    gateway_ = *std::move(gateway);
    channel_ = grpc::CreateChannel(gateway_->address(), grpc::InsecureChannelCredentials());
    // A first connection may fail on a loaded machine.
    ASSERT_TRUE(channel_->WaitForConnected(std::chrono::system_clock::now() + kPatience));
    inference_ = v1::InferenceService::NewStub(channel_);
    control_ = v1::ControlService::NewStub(channel_);
  }

  int NumReady() {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    v1::GetLoadsResponse response;
    const grpc::Status status = control_->GetLoads(&context, v1::GetLoadsRequest(), &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    int ready = 0;
    for (const v1::WorkerLoad& load : response.workers()) ready += load.ready() ? 1 : 0;
    return ready;
  }

  void AwaitReady(int workers) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    const auto is_known = [&] {
      return NumReady() == workers && told_ready_ == static_cast<size_t>(workers);
    };
    while (!is_known() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    ASSERT_EQ(NumReady(), workers);
    ASSERT_EQ(told_ready_, static_cast<size_t>(workers));
  }

  grpc::Status Stream(std::vector<v1::GenerateStreamResponse>& messages) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    v1::GenerateStreamRequest request;
    request.mutable_token_ids()->add_ids(1);
    const auto reader = inference_->GenerateStream(&context, request);
    v1::GenerateStreamResponse message;
    while (reader->Read(&message)) messages.push_back(message);
    return reader->Finish();
  }

  absl::Duration patience_ = absl::FromChrono(kPatience);
  std::atomic<size_t> told_ready_ = 0;  // after the gateway's capacity follows
  std::unique_ptr<GatewayServer> gateway_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::InferenceService::Stub> inference_;
  std::unique_ptr<v1::ControlService::Stub> control_;
};

}  // namespace spearfish::server

#endif  // TESTS_UNIT_SERVER_GATEWAY_SERVER_FIXTURE_H_
