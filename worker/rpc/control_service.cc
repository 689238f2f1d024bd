#include "worker/rpc/control_service.h"

#include <unistd.h>

#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/status_macros.h"
#include "common/base/version.h"
#include "worker/rpc/expert_cache_stats.h"
#include "worker/rpc/status_codes.h"

namespace spearfish::worker {
namespace {

grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, const absl::Status& status) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  reactor->Finish(FinalStatus(status, *context));
  return reactor;
}

absl::Status FillModelInfo(const ServingState& state, v1::GetModelInfoResponse& out) {
  SF_ASSIGN_OR_RETURN(const LoadedModel* const model, state.Loaded());
  const ModelConfig& config = model->config;
  out.set_served_model_name(model->served_name);
  out.set_architecture(config.architecture_name);
  out.set_model_type(config.model_type);
  out.set_vocab_size(config.vocab_size);
  out.set_num_layers(config.num_layers);
  out.set_num_experts(config.num_experts);
  out.set_num_experts_per_token(config.num_experts_per_token);
  out.set_max_model_len(model->max_model_len);
  std::set<TokenId> eos(config.eos_token_ids.begin(), config.eos_token_ids.end());
  eos.insert(model->defaults.eos_token_ids.begin(), model->defaults.eos_token_ids.end());
  out.mutable_eos_token_ids()->Add(eos.begin(), eos.end());
  out.set_expert_bits(model->experts.bits);
  out.set_cache_identity(model->experts.identity);
  return absl::OkStatus();
}

void FillLoad(const ServingState& state, v1::WorkerLoad& out) {
  out.set_address(state.address());
  out.set_device(state.device());
  out.set_ready(state.serving());
  const MemoryStatus memory = state.memory();
  out.set_memory_low(memory.low);
  out.set_memory_available_bytes(memory.available_bytes);
  out.set_memory_floor_bytes(memory.floor_bytes);
  out.set_memory_pool(memory.pool);
  out.set_cache_error(std::string(state.damage().message()));
  const LoadedModel* model = state.loaded();
  if (model == nullptr) return;
  const EngineStats stats = model->engine.stats();
  out.set_running_sequences(stats.num_running);
  out.set_waiting_sequences(stats.num_waiting);
  out.set_kv_blocks_used(stats.kv_blocks_used);
  out.set_kv_blocks_total(stats.kv_blocks_total);
  out.set_generated_tokens(stats.generated_tokens_total);
  out.set_tokens_per_second(stats.tokens_per_second);
  out.set_max_running_sequences(model->max_running_sequences);
}

}  // namespace

grpc::ServerUnaryReactor* ControlService::Abort(grpc::CallbackServerContext* context,
                                                const v1::AbortRequest* request,
                                                v1::AbortResponse* response) {
  if (const LoadedModel* model = state_.loaded()) {
    const std::set<std::string> ids(request->request_ids().begin(), request->request_ids().end());
    for (const std::string& id : ids) {
      if (model->engine.Abort(id)) response->add_aborted_request_ids(id);
    }
  }
  return Answer(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* ControlService::GetModelInfo(grpc::CallbackServerContext* context,
                                                       const v1::GetModelInfoRequest* /*request*/,
                                                       v1::GetModelInfoResponse* response) {
  return Answer(context, FillModelInfo(state_, *response));
}

grpc::ServerUnaryReactor* ControlService::GetServerInfo(grpc::CallbackServerContext* context,
                                                        const v1::GetServerInfoRequest* /*request*/,
                                                        v1::GetServerInfoResponse* response) {
  response->set_version(kVersion);
  response->set_role(v1::SERVER_ROLE_WORKER);
  response->set_uptime_seconds(absl::ToDoubleSeconds(state_.uptime()));
  response->set_device(state_.device());
  response->set_pid(static_cast<uint32_t>(getpid()));
  response->set_draining(state_.draining());
  return Answer(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* ControlService::GetLoads(grpc::CallbackServerContext* context,
                                                   const v1::GetLoadsRequest* /*request*/,
                                                   v1::GetLoadsResponse* response) {
  FillLoad(state_, *response->add_workers());
  return Answer(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* ControlService::GetExpertCacheStats(
    grpc::CallbackServerContext* context, const v1::GetExpertCacheStatsRequest* /*request*/,
    v1::GetExpertCacheStatsResponse* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  tasks_.Post([this, context, response, reactor] {
    const absl::Status status = FillExpertCacheStats(state_, *response->add_workers());
    reactor->Finish(FinalStatus(status, *context));
  });
  return reactor;
}

grpc::ServerUnaryReactor* ControlService::Drain(grpc::CallbackServerContext* context,
                                                const v1::DrainRequest* /*request*/,
                                                v1::DrainResponse* /*response*/) {
  state_.Drain();
  return Answer(context, absl::OkStatus());
}

}  // namespace spearfish::worker
