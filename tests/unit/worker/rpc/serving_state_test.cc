#include "worker/rpc/serving_state.h"

#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <string>

#include "common/base/bytes.h"
#include "tests/unit/worker/rpc/rpc_test_server.h"

namespace spearfish::worker {
namespace {

using ::testing::HasSubstr;

constexpr char kService[] = "spearfish.v1.InferenceService";
constexpr int kServing = 1;
constexpr int kNotServing = 2;
constexpr absl::string_view kLowText =
    "host memory is low: 4.00 GiB available in host memory, the floor is 5.00 GiB";

MemoryStatus Memory(bool low) {
  return {.low = low,
          .pool = "host memory",
          .available_bytes = (low ? 4 : 9) * kGiB,
          .floor_bytes = 5 * kGiB};
}

v1::WorkerLoad Load(RpcTestServer& server) {
  grpc::ClientContext context;
  v1::GetLoadsResponse loads;
  EXPECT_TRUE(server.control().GetLoads(&context, {}, &loads).ok());
  return loads.workers_size() == 1 ? loads.workers(0) : v1::WorkerLoad();
}

grpc::Status Refusal(RpcTestServer& server, grpc::ClientContext& context) {
  const auto stream = server.inference().GenerateStream(&context, StreamRequest("new"));
  return FinishReading(*stream);
}

TEST(ServingState, LowMemoryRefusesNewRequestsWithBothFiguresAndARetryHint) {
  RpcTestServer server;
  EXPECT_TRUE(server.state().SetMemory(Memory(true)));
  grpc::ClientContext context;
  const grpc::Status status = Refusal(server, context);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr(std::string(kLowText)));
  EXPECT_FALSE(status.error_details().empty());
  EXPECT_EQ(context.GetServerTrailingMetadata().count("grpc-retry-pushback-ms"), 1u);
}

TEST(ServingState, LowMemoryShowsInHealthAndLoadsUntilItIsBack) {
  RpcTestServer server;
  server.state().SetMemory(Memory(true));
  EXPECT_EQ(server.Health(""), kServing);
  EXPECT_EQ(server.Health(kService), kNotServing);
  const v1::WorkerLoad low = Load(server);
  EXPECT_FALSE(low.ready());
  EXPECT_TRUE(low.memory_low());
  EXPECT_EQ(low.memory_available_bytes(), 4 * kGiB);
  EXPECT_EQ(low.memory_floor_bytes(), 5 * kGiB);
  EXPECT_EQ(low.memory_pool(), "host memory");

  EXPECT_FALSE(server.state().SetMemory(Memory(true)));
  EXPECT_TRUE(server.state().SetMemory(Memory(false)));
  EXPECT_EQ(server.Health(kService), kServing);
  EXPECT_TRUE(Load(server).ready());
  EXPECT_FALSE(Load(server).memory_low());
  EXPECT_TRUE(server.state().Admitting().ok());
}

TEST(ServingState, WhatRunsGoesOnWhileMemoryIsLow) {
  RpcTestServer server;
  grpc::ClientContext context;
  const auto stream = server.inference().GenerateStream(&context, StreamRequest("old"));
  server.engine().TakeRequest();
  server.state().SetMemory(Memory(true));
  v1::AbortRequest request;
  request.add_request_ids("old");
  v1::AbortResponse response;
  grpc::ClientContext abort_context;
  ASSERT_TRUE(server.control().Abort(&abort_context, request, &response).ok());
  EXPECT_EQ(response.aborted_request_ids_size(), 1);
  EXPECT_TRUE(FinishReading(*stream).ok());
}

TEST(ServingState, ADamagedCacheIsForGood) {
  RpcTestServer server;
  server.state().SetDamaged(absl::DataLossError("layer 3"));
  server.state().SetDamaged(absl::DataLossError("layer 4"));
  server.state().SetMemory(Memory(true));
  server.state().SetMemory(Memory(false));
  EXPECT_EQ(server.Health(kService), kNotServing);
  EXPECT_EQ(Load(server).cache_error(), "layer 3");
  grpc::ClientContext context;
  const grpc::Status status = Refusal(server, context);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DATA_LOSS);
  EXPECT_THAT(status.error_message(), HasSubstr("layer 3"));
}

TEST(ServingState, LowMemoryWhileLoadingKeepsItFromServing) {
  RpcTestServer server(RpcTestServer::Begin::kLoading);
  server.state().SetMemory(Memory(true));
  server.SetLoaded();
  EXPECT_EQ(server.Health(kService), kNotServing);
  server.state().SetMemory(Memory(false));
  EXPECT_EQ(server.Health(kService), kServing);
}

}  // namespace
}  // namespace spearfish::worker
