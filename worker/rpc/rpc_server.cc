#include "worker/rpc/rpc_server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "absl/time/clock.h"
#include "common/base/countdown.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/rpc/listener.h"
#include "common/vllm_engine/forwarding.h"
#include "common/vllm_engine/vllm_engine_service.h"
#include "worker/rpc/control_service.h"
#include "worker/rpc/inference_service.h"
#include "worker/rpc/task_thread.h"

namespace spearfish::worker {
namespace {

// gRPC keeps both as process-wide switches that are read when a server is built.
void EnableHealthAndReflection() {
  static std::once_flag once;
  std::call_once(once, [] {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  });
}

class GrpcServer final : public RpcServer {
 public:
  GrpcServer(ServingState& state, RequestLog log)
      : state_(state), inference_(state, tasks_, log), control_(state, stats_) {}
  ~GrpcServer() override { Shutdown(absl::ZeroDuration()); }

  absl::Status Start(Listener& listener);
  const std::string& address() const override { return address_; }
  void Shutdown(absl::Duration grace) override;

 private:
  ServingState& state_;
  // Calls wait for their tasks: they go after the server. Apart, because statistics walk the pages
  // of the whole mapping, and prompts must not wait for that.
  TaskThread tasks_;
  TaskThread stats_;
  InferenceService inference_;
  ControlService control_;
  vllm_engine::VllmEngineService vllm_engine_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

absl::Status GrpcServer::Start(Listener& listener) {
  EnableHealthAndReflection();
  grpc::ServerBuilder builder;
  listener.AddTo(builder);
  builder.SetMaxSendMessageSize(-1);
  builder.SetDefaultCompressionAlgorithm(GRPC_COMPRESS_NONE);
  builder.RegisterService(&inference_);
  builder.RegisterService(&control_);
  builder.RegisterService(&vllm_engine_);
  server_ = builder.BuildAndStart();
  SF_ASSIGN_OR_RETURN(address_, listener.BoundAddress(server_ != nullptr));
  vllm_engine_.Connect(vllm_engine::ChannelTo(*server_));
  grpc::HealthCheckServiceInterface* const health = server_->GetHealthCheckService();
  state_.SetListening(address_, [health](bool serving) {
    health->SetServingStatus(v1::InferenceService::service_full_name(), serving);
  });
  return absl::OkStatus();
}

void GrpcServer::Shutdown(absl::Duration grace) {
  if (server_ == nullptr) return;
  state_.StopListening();
  const Countdown end(grace);
  bool idle = vllm_engine_.AwaitIdle(end.left());
  idle = inference_.AwaitIdle(end.left()) && idle;
  if (!idle && grace > absl::ZeroDuration()) {
    LogWarning("no time is left for calls that run or whose clients have not read all");
  }
  server_->Shutdown(absl::ToChronoTime(absl::Now() + std::min(end.left(), kGoodbye)));
  server_->Wait();
  server_.reset();
}

}  // namespace

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Create(const RpcServerOptions& options,
                                                             ServingState& state) {
  SF_ASSIGN_OR_RETURN(const std::unique_ptr<Listener> listener,
                      Listener::Create(options.listen, options.listener));
  auto server = std::make_unique<GrpcServer>(
      state, options.log_requests ? RequestLog::kOn : RequestLog::kOff);
  SF_RETURN_IF_ERROR(server->Start(*listener));
  return std::unique_ptr<RpcServer>(std::move(server));
}

}  // namespace spearfish::worker
