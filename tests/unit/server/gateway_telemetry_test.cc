#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/gateway_server.h"
#include "tests/support/scrape.h"
#include "tests/unit/server/fake_worker.h"

namespace spearfish::server {
namespace {

using tests::Scrape;
using tests::ScrapedValue;

constexpr std::chrono::seconds kPatience{20};
const std::string kParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

// A gateway that serves its metrics before fake workers.
class GatewayTelemetryTest : public ::testing::Test {
 protected:
  void Start(const std::vector<const FakeWorker*>& workers) {
    GatewayOptions options;
    options.listen = "127.0.0.1:0";
    options.poll_interval = absl::Milliseconds(20);
    options.dispatch.retry.patience = patience_;
    options.metrics_port = 0;
    for (const FakeWorker* worker : workers) options.workers.push_back(worker->address());
    auto gateway = GatewayServer::Create(options);
    ASSERT_TRUE(gateway.ok()) << gateway.status();
    gateway_ = *std::move(gateway);
    const auto channel =
        grpc::CreateChannel(gateway_->address(), grpc::InsecureChannelCredentials());
    ASSERT_TRUE(channel->WaitForConnected(std::chrono::system_clock::now() + kPatience));
    inference_ = v1::InferenceService::NewStub(channel);
  }

  double Metric(const std::string& series) const {
    return ScrapedValue(Scrape(*gateway_->metrics_port()), series);
  }
  void Await(const std::string& series, double value) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (Metric(series) != value && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
    }
    ASSERT_EQ(Metric(series), value) << series;
  }
  void AwaitReady(int workers) { Await("spearfish_gateway_workers_ready", workers); }

  grpc::Status Stream(grpc::ClientContext& context) {
    v1::GenerateStreamRequest request;
    request.mutable_token_ids()->add_ids(1);
    const auto reader = inference_->GenerateStream(&context, request);
    v1::GenerateStreamResponse message;
    while (reader->Read(&message)) {
    }
    return reader->Finish();
  }
  grpc::Status Stream() {
    grpc::ClientContext context;
    return Stream(context);
  }

  absl::Duration patience_ = absl::FromChrono(kPatience);
  std::unique_ptr<GatewayServer> gateway_;
  std::unique_ptr<v1::InferenceService::Stub> inference_;
};

TEST_F(GatewayTelemetryTest, CountsAStream) {
  FakeWorker worker;
  Start({&worker});
  AwaitReady(1);
  ASSERT_TRUE(Stream().ok());
  Await("spearfish_gateway_requests_total{method=\"GenerateStream\",code=\"OK\"}", 1);
  Await("spearfish_gateway_streams_open", 0);
  EXPECT_EQ(Metric("spearfish_gateway_time_to_first_token_seconds_count"), 1);
  EXPECT_EQ(Metric("spearfish_gateway_inter_token_seconds_count"), 2);
  EXPECT_EQ(Metric("spearfish_gateway_request_seconds_count"), 1);
  EXPECT_EQ(Metric("spearfish_gateway_queue_seconds_count"), 1);
  EXPECT_EQ(Metric("spearfish_gateway_generated_tokens_total"), 3);
  EXPECT_EQ(Metric("spearfish_gateway_sequences_finished_total{reason=\"length\"}"), 1);
  EXPECT_EQ(Metric("spearfish_gateway_attempts_total"), 1);
  EXPECT_EQ(Metric("spearfish_gateway_worker_ready{worker=\"" + worker.address() + "\"}"), 1);
}

TEST_F(GatewayTelemetryTest, CountsLostAttemptsAndWhatBecameOfThem) {
  FakeWorker dying;
  FakeWorker other;
  dying.failure = grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
  dying.fail_after_messages = 0;
  other.running = 5;  // so that the dying one is tried first
  Start({&dying, &other});
  AwaitReady(2);
  ASSERT_TRUE(Stream().ok());
  AwaitReady(2);
  dying.fail_after_messages = 2;
  ASSERT_TRUE(Stream().ok());
  Await("spearfish_gateway_requests_total{method=\"GenerateStream\",code=\"OK\"}", 2);
  EXPECT_EQ(Metric("spearfish_gateway_attempts_total"), 4);
  EXPECT_EQ(Metric("spearfish_gateway_attempts_lost_total"), 2);
  EXPECT_EQ(Metric("spearfish_gateway_retries_total"), 1);
  EXPECT_EQ(Metric("spearfish_gateway_resumptions_total"), 1);
  EXPECT_EQ(Metric("spearfish_gateway_generated_tokens_total"), 6);
}

TEST_F(GatewayTelemetryTest, CountsRefusalsByTheirReason) {
  patience_ = absl::Milliseconds(100);
  FakeWorker worker;
  worker.ready = false;
  Start({&worker});
  EXPECT_EQ(Stream().error_code(), grpc::StatusCode::UNAVAILABLE);
  Await("spearfish_gateway_rejections_total{reason=\"no_worker\"}", 1);
  gateway_->StartDrain();
  EXPECT_EQ(Stream().error_code(), grpc::StatusCode::UNAVAILABLE);
  Await("spearfish_gateway_rejections_total{reason=\"draining\"}", 1);
  EXPECT_EQ(
      Metric("spearfish_gateway_requests_total{method=\"GenerateStream\",code=\"UNAVAILABLE\"}"),
      2);
  EXPECT_EQ(Metric("spearfish_gateway_ready"), 0);
}

TEST_F(GatewayTelemetryTest, PassesAValidTraceContextOnAndNothingElse) {
  FakeWorker worker;
  Start({&worker});
  AwaitReady(1);
  grpc::ClientContext context;
  context.AddMetadata("traceparent", kParent);
  context.AddMetadata("tracestate", "rojo=1");
  context.AddMetadata("tracestate", "congo=2");
  context.AddMetadata("authorization", "Bearer secret");
  ASSERT_TRUE(Stream(context).ok());
  EXPECT_EQ(worker.last_metadata("traceparent"), kParent);
  EXPECT_EQ(worker.last_metadata("tracestate"), "rojo=1,congo=2");
  EXPECT_EQ(worker.last_metadata("authorization"), "");
}

TEST_F(GatewayTelemetryTest, DropsAnInvalidTraceContext) {
  FakeWorker worker;
  Start({&worker});
  AwaitReady(1);
  grpc::ClientContext context;
  context.AddMetadata("traceparent", "00-4BF9-bad-01");
  context.AddMetadata("tracestate", "rojo=1");
  ASSERT_TRUE(Stream(context).ok());
  EXPECT_EQ(worker.last_metadata("traceparent"), "");
  EXPECT_EQ(worker.last_metadata("tracestate"), "");
}

}  // namespace
}  // namespace spearfish::server
