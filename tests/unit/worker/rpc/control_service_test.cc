#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "tests/unit/worker/rpc/rpc_test_server.h"

namespace spearfish::worker {
namespace {

using ::testing::ElementsAre;

TEST(ControlService, AbortReportsWhatWasLive) {
  RpcTestServer server;
  grpc::ClientContext stream_context;
  const auto stream = server.inference().GenerateStream(&stream_context, StreamRequest("live"));
  server.engine().TakeRequest();
  v1::AbortRequest request;
  request.add_request_ids("dead");
  request.add_request_ids("live");
  request.add_request_ids("live");
  v1::AbortResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(server.control().Abort(&context, request, &response).ok());
  EXPECT_THAT(response.aborted_request_ids(), ElementsAre("live"));
  v1::GenerateStreamResponse message;
  ASSERT_TRUE(stream->Read(&message));
  EXPECT_EQ(message.finish().finish_reason(), v1::FINISH_REASON_ABORTED);
  EXPECT_TRUE(FinishReading(*stream).ok());
}

TEST(ControlService, ModelInfo) {
  RpcTestServer server;
  v1::GetModelInfoResponse info;
  grpc::ClientContext context;
  ASSERT_TRUE(server.control().GetModelInfo(&context, {}, &info).ok());
  EXPECT_EQ(info.served_model_name(), "test-model");
  EXPECT_EQ(info.architecture(), "Qwen3MoeForCausalLM");
  EXPECT_EQ(info.vocab_size(), kTestVocabSize);
  EXPECT_EQ(info.max_model_len(), kTestMaxModelLen);
  EXPECT_EQ(info.num_experts_per_token(), 2u);
  EXPECT_THAT(info.eos_token_ids(), ElementsAre(7, ByteTokenizer::kEnd));
  EXPECT_EQ(info.expert_bits(), 4u);
  EXPECT_EQ(info.cache_identity(), "0123456789abcdef");
}

TEST(ControlService, ServerInfo) {
  RpcTestServer server;
  v1::GetServerInfoResponse info;
  grpc::ClientContext context;
  ASSERT_TRUE(server.control().GetServerInfo(&context, {}, &info).ok());
  EXPECT_EQ(info.role(), v1::SERVER_ROLE_WORKER);
  EXPECT_EQ(info.device(), "cpu");
  EXPECT_EQ(info.pid(), static_cast<uint32_t>(getpid()));
  EXPECT_FALSE(info.version().empty());
  EXPECT_FALSE(info.draining());
}

TEST(ControlService, LoadsAreTheEngines) {
  RpcTestServer server;
  v1::GetLoadsResponse loads;
  grpc::ClientContext context;
  ASSERT_TRUE(server.control().GetLoads(&context, {}, &loads).ok());
  ASSERT_EQ(loads.workers_size(), 1);
  const v1::WorkerLoad& load = loads.workers(0);
  EXPECT_EQ(load.address(), server.address());
  EXPECT_TRUE(load.ready());
  EXPECT_EQ(load.running_sequences(), 0u);
  EXPECT_EQ(load.waiting_sequences(), 3u);
  EXPECT_EQ(load.kv_blocks_used(), 4u);
  EXPECT_EQ(load.kv_blocks_total(), 5u);
  EXPECT_EQ(load.generated_tokens(), 6u);
  EXPECT_EQ(load.tokens_per_second(), 7.5);
  EXPECT_EQ(load.max_running_sequences(), 64u);
}

TEST(ControlService, ExpertCacheStatsCountTheMapping) {
  RpcTestServer server;
  v1::GetExpertCacheStatsResponse response;
  grpc::ClientContext context;
  const grpc::Status status = server.control().GetExpertCacheStats(&context, {}, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.workers_size(), 1);
  const v1::ExpertCacheStats& stats = response.workers(0);
  EXPECT_EQ(stats.segment_name(), "spearfish-0123456789abcdef");
  EXPECT_EQ(stats.segment_bytes(), 1u << 20);
  EXPECT_EQ(stats.records(), 64u);
  EXPECT_EQ(stats.record_bytes(), 4096u);
  EXPECT_EQ(stats.hits(), 8u);
  EXPECT_EQ(stats.misses(), 9u);
  EXPECT_EQ(stats.mapping_rss_bytes(), 1u << 20);
  EXPECT_EQ(stats.mapping_pss_bytes(), 1u << 20);
  EXPECT_TRUE(stats.populated_here());
}

TEST(ControlService, ExpertCacheStatsCountThePool) {
  RpcTestServer server;
  v1::GetExpertCacheStatsResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(server.control().GetExpertCacheStats(&context, {}, &response).ok());
  const v1::ExpertCacheStats& stats = response.workers(0);
  EXPECT_EQ(stats.slots_hard(), 3u);
  EXPECT_EQ(stats.slots_soft(), 5u);
  EXPECT_EQ(stats.slots_total(), 8u);
  EXPECT_EQ(stats.coverage(), 0.125);
  EXPECT_EQ(stats.resident(), 8u);
  EXPECT_EQ(stats.loading(), 1u);
  EXPECT_EQ(stats.loads().bytes(), 8u * 4096);
  EXPECT_EQ(stats.reclaims().count(), 6u);
  EXPECT_EQ(stats.reloads().seconds(), 0.5);
  EXPECT_EQ(stats.promotions().count(), 7u);
  EXPECT_EQ(stats.cancelled_loads(), 9u);
  EXPECT_EQ(stats.extra_host_bytes(), 1024u);
  EXPECT_EQ(stats.frames().kv(), 2u);
  EXPECT_EQ(stats.frames().workspace(), 1u);
  EXPECT_EQ(stats.frames().unused(), 4u);
  EXPECT_EQ(stats.frames().frame_bytes(), 4096u);
  ASSERT_EQ(stats.layers_size(), 2);
  EXPECT_EQ(stats.layers(1).moe_layer(), 1u);
  EXPECT_EQ(stats.layers(1).resident(), 6u);
  EXPECT_EQ(stats.layers(0).hits(), 3u);
  EXPECT_EQ(stats.layers(0).misses(), 4u);
}

TEST(ControlService, LoadingAnswersWhatItCan) {
  RpcTestServer server(RpcTestServer::Begin::kLoading);
  v1::GetModelInfoResponse info;
  grpc::ClientContext model;
  EXPECT_EQ(server.control().GetModelInfo(&model, {}, &info).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  v1::GetExpertCacheStatsResponse stats;
  grpc::ClientContext cache;
  EXPECT_EQ(server.control().GetExpertCacheStats(&cache, {}, &stats).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  v1::GetLoadsResponse loads;
  grpc::ClientContext load;
  ASSERT_TRUE(server.control().GetLoads(&load, {}, &loads).ok());
  ASSERT_EQ(loads.workers_size(), 1);
  EXPECT_FALSE(loads.workers(0).ready());
  v1::GetServerInfoResponse server_info;
  grpc::ClientContext server_context;
  EXPECT_TRUE(server.control().GetServerInfo(&server_context, {}, &server_info).ok());
  v1::AbortRequest abort;
  abort.add_request_ids("a");
  v1::AbortResponse aborted;
  grpc::ClientContext abort_context;
  ASSERT_TRUE(server.control().Abort(&abort_context, abort, &aborted).ok());
  EXPECT_EQ(aborted.aborted_request_ids_size(), 0);
}

TEST(ControlService, DrainFinishesWhatRuns) {
  RpcTestServer server;
  grpc::ClientContext stream_context;
  const auto stream = server.inference().GenerateStream(&stream_context, StreamRequest("a"));
  server.engine().TakeRequest();
  v1::DrainResponse drained;
  grpc::ClientContext context;
  ASSERT_TRUE(server.control().Drain(&context, {}, &drained).ok());
  EXPECT_TRUE(server.engine().draining());
  v1::GetServerInfoResponse info;
  grpc::ClientContext info_context;
  ASSERT_TRUE(server.control().GetServerInfo(&info_context, {}, &info).ok());
  EXPECT_TRUE(info.draining());
  server.engine().EmitFinish("a");
  EXPECT_TRUE(FinishReading(*stream).ok());
}

}  // namespace
}  // namespace spearfish::worker
