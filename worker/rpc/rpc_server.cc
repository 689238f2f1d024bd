#include "worker/rpc/rpc_server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/vllm_engine/forwarding.h"
#include "common/vllm_engine/vllm_engine_service.h"
#include "worker/rpc/control_service.h"
#include "worker/rpc/inference_service.h"
#include "worker/rpc/listen_address.h"
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

void Configure(const RpcServerOptions& options, grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(options.max_receive_message_bytes);
  builder.SetMaxSendMessageSize(-1);
  builder.SetDefaultCompressionAlgorithm(GRPC_COMPRESS_NONE);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, options.max_concurrent_streams);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(
      GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
      static_cast<int>(absl::ToInt64Milliseconds(options.min_ping_interval)));
  // Two workers on one port would share its clients without anybody noticing.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
}

class GrpcServer final : public RpcServer {
 public:
  explicit GrpcServer(ServingState& state)
      : state_(state), inference_(state, tasks_), control_(state, tasks_) {}
  ~GrpcServer() override { Shutdown(absl::ZeroDuration()); }

  absl::Status Start(const RpcServerOptions& options, const ListenAddress& listen);
  const std::string& address() const override { return address_; }
  void Shutdown(absl::Duration grace) override;

 private:
  ServingState& state_;
  TaskThread tasks_;  // calls wait for its tasks: goes after the server
  InferenceService inference_;
  ControlService control_;
  vllm_engine::VllmEngineService vllm_engine_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

absl::Status GrpcServer::Start(const RpcServerOptions& options, const ListenAddress& listen) {
  EnableHealthAndReflection();
  if (listen.kind == ListenAddress::Kind::kUnix) {
    SF_RETURN_IF_ERROR(RemoveStaleSocket(listen.path));
  }
  grpc::ServerBuilder builder;
  Configure(options, builder);
  int bound_port = 0;
  builder.AddListeningPort(listen.ToString(), grpc::InsecureServerCredentials(), &bound_port);
  builder.RegisterService(&inference_);
  builder.RegisterService(&control_);
  builder.RegisterService(&vllm_engine_);
  server_ = builder.BuildAndStart();
  if (server_ == nullptr || bound_port == 0) {
    return absl::UnavailableError(absl::StrCat("can't listen on ", listen.ToString(),
                                               "; is it in use, and may this user bind it?"));
  }
  vllm_engine_.Connect(vllm_engine::ChannelTo(*server_));
  address_ = listen.ToString(static_cast<uint16_t>(bound_port));
  grpc::HealthCheckServiceInterface* const health = server_->GetHealthCheckService();
  state_.SetListening(address_, [health](bool serving) {
    health->SetServingStatus(v1::InferenceService::service_full_name(), serving);
  });
  return absl::OkStatus();
}

void GrpcServer::Shutdown(absl::Duration grace) {
  if (server_ == nullptr) return;
  state_.StopListening();
  const absl::Time end = absl::Now() + grace;
  vllm_engine_.AwaitIdle(end);
  server_->Shutdown(absl::ToChronoTime(end));
  server_->Wait();
  server_.reset();
}

}  // namespace

absl::Status RpcServerOptions::Validate() const {
  SF_RETURN_IF_ERROR(ParseListenAddress(listen).status());
  if (max_receive_message_bytes < 1 || max_concurrent_streams < 1 ||
      min_ping_interval < absl::ZeroDuration()) {
    return absl::InvalidArgumentError("server limits out of range; they must be positive");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Create(const RpcServerOptions& options,
                                                             ServingState& state) {
  SF_RETURN_IF_ERROR(options.Validate());
  SF_ASSIGN_OR_RETURN(const ListenAddress listen, ParseListenAddress(options.listen));
  auto server = std::make_unique<GrpcServer>(state);
  SF_RETURN_IF_ERROR(server->Start(options, listen));
  return std::unique_ptr<RpcServer>(std::move(server));
}

}  // namespace spearfish::worker
