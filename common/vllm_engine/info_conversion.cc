#include "common/vllm_engine/info_conversion.h"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "common/base/version.h"

namespace spearfish::vllm_engine {
namespace {

// The wire's figures are narrower than ours.
int32_t ToInt32(uint64_t value) {
  return static_cast<int32_t>(std::min<uint64_t>(value, std::numeric_limits<int32_t>::max()));
}

// Of all workers that are ready.
struct Total {
  uint64_t running = 0;
  uint64_t waiting = 0;
  uint64_t max_running = 0;
  uint64_t kv_blocks_used = 0;
  uint64_t kv_blocks_total = 0;
  double tokens_per_second = 0;
};

Total Sum(const v1::GetLoadsResponse& loads) {
  Total total;
  for (const v1::WorkerLoad& load : loads.workers()) {
    if (!load.ready()) continue;
    total.running += load.running_sequences();
    total.waiting += load.waiting_sequences();
    total.max_running += load.max_running_sequences();
    total.kv_blocks_used += load.kv_blocks_used();
    total.kv_blocks_total += load.kv_blocks_total();
    total.tokens_per_second += load.tokens_per_second();
  }
  return total;
}

double Ratio(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

const char* ServerType(v1::ServerRole role) {
  return role == v1::SERVER_ROLE_GATEWAY ? "spearfish-gateway" : "spearfish-worker";
}

}  // namespace

wire::GetModelInfoResponse ToModelInfo(const v1::GetModelInfoResponse& model) {
  wire::GetModelInfoResponse out;
  out.set_model_path(model.served_model_name());
  out.set_served_model_name(model.served_model_name());
  out.set_is_generation(true);
  out.set_max_context_length(model.max_model_len());
  out.set_vocab_size(model.vocab_size());
  out.set_model_type(model.model_type());
  out.add_architectures(model.architecture());
  for (const uint32_t id : model.eos_token_ids()) out.add_eos_token_ids(ToInt32(id));
  out.set_max_req_input_len(ToInt32(model.max_model_len() == 0 ? 0 : model.max_model_len() - 1));
  return out;
}

wire::GetServerInfoResponse ToServerInfo(const v1::GetServerInfoResponse& server,
                                         const v1::GetLoadsResponse& loads,
                                         absl::Time last_received) {
  const Total total = Sum(loads);
  wire::GetServerInfoResponse out;
  out.set_active_requests(static_cast<uint32_t>(ToInt32(total.running + total.waiting)));
  out.set_is_paused(server.draining());
  if (last_received != absl::InfinitePast()) {
    out.set_last_receive_timestamp(absl::ToDoubleSeconds(last_received - absl::UnixEpoch()));
  }
  out.set_uptime_seconds(server.uptime_seconds());
  out.set_server_type(ServerType(server.role()));
  out.set_data_parallel_size(1);
  return out;
}

wire::GetLoadsResponse ToLoads(const v1::GetLoadsResponse& loads, absl::Time now) {
  // Routers take 1 for an error.
  constexpr double kFull = 1 - std::numeric_limits<float>::epsilon();
  const Total total = Sum(loads);
  wire::GetLoadsResponse out;
  out.set_timestamp(absl::FormatTime(absl::RFC3339_full, now, absl::UTCTimeZone()));
  out.set_version(kVersion);
  out.set_dp_rank_count(1);
  wire::SchedulerLoad& load = *out.add_loads();
  load.set_num_running_reqs(ToInt32(total.running));
  load.set_num_waiting_reqs(ToInt32(total.waiting));
  load.set_num_total_reqs(ToInt32(total.running + total.waiting));
  load.set_token_usage(std::min(Ratio(total.kv_blocks_used, total.kv_blocks_total), kFull));
  load.set_gen_throughput(total.tokens_per_second);
  load.set_utilization(Ratio(total.running, total.max_running));
  load.set_max_running_requests(ToInt32(total.max_running));
  return out;
}

}  // namespace spearfish::vllm_engine
