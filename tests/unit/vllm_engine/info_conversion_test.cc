#include "common/vllm_engine/info_conversion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace spearfish::vllm_engine {
namespace {

using ::testing::ElementsAre;

v1::WorkerLoad Load(uint32_t running, uint32_t waiting) {
  v1::WorkerLoad load;
  load.set_ready(true);
  load.set_running_sequences(running);
  load.set_waiting_sequences(waiting);
  load.set_max_running_sequences(8);
  load.set_kv_blocks_used(running);
  load.set_kv_blocks_total(16);
  load.set_tokens_per_second(100);
  return load;
}

TEST(InfoConversion, DescribesTheModel) {
  v1::GetModelInfoResponse model;
  model.set_served_model_name("qwen");
  model.set_architecture("Qwen3MoeForCausalLM");
  model.set_model_type("qwen3_moe");
  model.set_vocab_size(1000);
  model.set_max_model_len(4096);
  model.add_eos_token_ids(2);
  model.add_eos_token_ids(3);
  const wire::GetModelInfoResponse info = ToModelInfo(model);
  EXPECT_EQ(info.model_path(), "qwen");
  EXPECT_EQ(info.served_model_name(), "qwen");
  EXPECT_TRUE(info.is_generation());
  EXPECT_FALSE(info.supports_vision());
  EXPECT_EQ(info.max_context_length(), 4096u);
  EXPECT_EQ(info.max_req_input_len(), 4095);
  EXPECT_EQ(info.vocab_size(), 1000u);
  EXPECT_EQ(info.model_type(), "qwen3_moe");
  EXPECT_THAT(info.architectures(), ElementsAre("Qwen3MoeForCausalLM"));
  EXPECT_THAT(info.eos_token_ids(), ElementsAre(2, 3));
}

TEST(InfoConversion, DescribesTheServer) {
  v1::GetServerInfoResponse server;
  server.set_role(v1::SERVER_ROLE_GATEWAY);
  server.set_uptime_seconds(12.5);
  server.set_draining(true);
  v1::GetLoadsResponse loads;
  *loads.add_workers() = Load(3, 1);
  const auto info = ToServerInfo(server, loads, absl::FromUnixMillis(1500));
  EXPECT_EQ(info.active_requests(), 4u);
  EXPECT_TRUE(info.is_paused());
  EXPECT_EQ(info.last_receive_timestamp(), 1.5);
  EXPECT_EQ(info.uptime_seconds(), 12.5);
  EXPECT_EQ(info.server_type(), "spearfish-gateway");
  EXPECT_EQ(info.data_parallel_size(), 1);
  server.set_role(v1::SERVER_ROLE_WORKER);
  const auto idle = ToServerInfo(server, loads, absl::InfinitePast());
  EXPECT_EQ(idle.server_type(), "spearfish-worker");
  EXPECT_EQ(idle.last_receive_timestamp(), 0);
}

TEST(InfoConversion, AddsUpTheWorkersThatAreReady) {
  v1::GetLoadsResponse loads;
  *loads.add_workers() = Load(3, 1);
  *loads.add_workers() = Load(5, 0);
  *loads.add_workers() = Load(7, 7);
  loads.mutable_workers(2)->set_ready(false);
  const wire::GetLoadsResponse out = ToLoads(loads, absl::FromUnixSeconds(1700000000));
  EXPECT_EQ(out.timestamp(), "2023-11-14T22:13:20+00:00");
  EXPECT_FALSE(out.version().empty());
  EXPECT_EQ(out.dp_rank_count(), 1);
  ASSERT_EQ(out.loads_size(), 1);
  EXPECT_EQ(out.loads(0).dp_rank(), 0);
  EXPECT_EQ(out.loads(0).num_running_reqs(), 8);
  EXPECT_EQ(out.loads(0).num_waiting_reqs(), 1);
  EXPECT_EQ(out.loads(0).num_total_reqs(), 9);
  EXPECT_EQ(out.loads(0).max_running_requests(), 16);
  EXPECT_DOUBLE_EQ(out.loads(0).token_usage(), 0.25);
  EXPECT_DOUBLE_EQ(out.loads(0).utilization(), 0.5);
  EXPECT_DOUBLE_EQ(out.loads(0).gen_throughput(), 200);
}

TEST(InfoConversion, HasOneEntryWithoutWorkers) {
  const wire::GetLoadsResponse out = ToLoads({}, absl::UnixEpoch());
  ASSERT_EQ(out.loads_size(), 1);
  EXPECT_EQ(out.loads(0).token_usage(), 0);
  EXPECT_EQ(out.loads(0).utilization(), 0);
}

TEST(InfoConversion, NeverCallsTheCacheQuiteFull) {
  v1::GetLoadsResponse loads;
  *loads.add_workers() = Load(16, 0);
  const double usage = ToLoads(loads, absl::UnixEpoch()).loads(0).token_usage();
  EXPECT_LT(usage, 1);
  EXPECT_GT(usage, 0.999);
}

TEST(InfoConversion, KeepsFiguresWithinTheWiresRange) {
  v1::GetLoadsResponse loads;
  *loads.add_workers() = Load(std::numeric_limits<uint32_t>::max(), 1);
  EXPECT_EQ(ToLoads(loads, absl::UnixEpoch()).loads(0).num_total_reqs(),
            std::numeric_limits<int32_t>::max());
}

}  // namespace
}  // namespace spearfish::vllm_engine
