// What the gateway does with requests that can't start at once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/unit/server/gateway_server_fixture.h"

namespace spearfish::server {
namespace {

using ::testing::ElementsAre;

// One request runs and does not end, one waits: what comes now is refused.
class GatewayAdmissionTest : public GatewayServerTest {
 protected:
  struct Waiting {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<v1::GenerateStreamResponse>> reader;
  };

  void Fill() {
    worker_.hang = true;
    GatewayOptions options;
    options.listen = "127.0.0.1:0";
    options.workers = {worker_.address()};
    options.poll_interval = absl::Milliseconds(20);
    options.max_in_flight = 1;
    options.admission.max_waiting = 1;
    StartWith(options);
    AwaitReady(1);
    Open(running_, "runs");
    v1::GenerateStreamResponse message;
    ASSERT_TRUE(running_.reader->Read(&message));
    Open(waiting_, "waits");
    // It is in the queue when one of lower priority is refused.
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!TryAnother() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  }

  void Open(Waiting& stream, const std::string& id) {
    v1::GenerateStreamRequest request;
    request.set_request_id(id);
    request.mutable_token_ids()->add_ids(1);
    request.set_priority(5);
    stream.context.set_deadline(std::chrono::system_clock::now() + 3 * kPatience);
    stream.reader = inference_->GenerateStream(&stream.context, request);
  }

  // Whether it was refused; withdraws it otherwise.
  bool TryAnother() {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(200));
    v1::GenerateRequest request;
    request.mutable_token_ids()->add_ids(1);
    v1::GenerateResponse response;
    refusal_ = inference_->Generate(&context, request, &response);
    if (refusal_.error_code() != grpc::StatusCode::RESOURCE_EXHAUSTED) return false;
    const auto& trailers = context.GetServerTrailingMetadata();
    has_pushback_ = trailers.find("grpc-retry-pushback-ms") != trailers.end();
    return true;
  }

  static grpc::StatusCode End(Waiting& stream) {
    v1::GenerateStreamResponse message;
    while (stream.reader->Read(&message)) {
    }
    return stream.reader->Finish().error_code();
  }

  FakeWorker worker_;
  Waiting running_;
  Waiting waiting_;
  grpc::Status refusal_;
  bool has_pushback_ = false;
};

TEST_F(GatewayAdmissionTest, RefusesWithATimeToComeBackAndStartsWhatWaits) {
  Fill();
  ASSERT_EQ(refusal_.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(has_pushback_);
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(refusal_.error_details()));
  google::rpc::RetryInfo info;
  ASSERT_EQ(details.details_size(), 1);
  EXPECT_TRUE(details.details(0).UnpackTo(&info));
  EXPECT_EQ(worker_.calls, 1);
  running_.context.TryCancel();
  EXPECT_EQ(End(running_), grpc::StatusCode::CANCELLED);
  v1::GenerateStreamResponse message;
  EXPECT_TRUE(waiting_.reader->Read(&message)) << "starts when the first has ended";
  waiting_.context.TryCancel();
  EXPECT_EQ(End(waiting_), grpc::StatusCode::CANCELLED);
}

TEST_F(GatewayAdmissionTest, ForgetsAWaitingRequestThatIsCancelled) {
  Fill();
  waiting_.context.TryCancel();
  EXPECT_EQ(End(waiting_), grpc::StatusCode::CANCELLED);
  EXPECT_EQ(worker_.calls, 1) << "the worker never heard of it";
  running_.context.TryCancel();
  EXPECT_EQ(End(running_), grpc::StatusCode::CANCELLED);
}

TEST_F(GatewayAdmissionTest, AbortsWhatWaits) {
  Fill();
  v1::AbortRequest request;
  request.add_request_ids("waits");
  request.add_request_ids("nowhere");
  v1::AbortResponse aborted;
  grpc::ClientContext context;
  ASSERT_TRUE(control_->Abort(&context, request, &aborted).ok());
  EXPECT_THAT(aborted.aborted_request_ids(), ElementsAre("waits"));
  EXPECT_EQ(End(waiting_), grpc::StatusCode::ABORTED);
  EXPECT_EQ(worker_.calls, 1) << "the worker never heard of it";
  running_.context.TryCancel();
  EXPECT_EQ(End(running_), grpc::StatusCode::CANCELLED);
}

TEST_F(GatewayAdmissionTest, TellsWhatWaitsWhenTheLastWorkerHasGone) {
  Fill();
  worker_.ready = false;
  EXPECT_EQ(End(waiting_), grpc::StatusCode::UNAVAILABLE);
  running_.context.TryCancel();
  EXPECT_EQ(End(running_), grpc::StatusCode::CANCELLED);
}

}  // namespace
}  // namespace spearfish::server
