#include "server/gateway_server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"

namespace spearfish::server {
namespace {

constexpr char kReadyService[] = "spearfish.v1.InferenceService";
// A prompt of a million ids is 5 MB; gRPC's default of 4 MiB would refuse it.
constexpr int kMaxRequestBytes = 64 << 20;

// Clients ping idle connections during long prefills; gRPC's defaults would end those.
void AllowKeepalive(grpc::ServerBuilder& builder) {
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
}

std::string WithPort(const std::string& listen, int port) {
  if (absl::StartsWith(listen, "unix:")) return listen;
  return absl::StrCat(listen.substr(0, listen.rfind(':')), ":", port);
}

}  // namespace

absl::StatusOr<std::unique_ptr<GatewayServer>> GatewayServer::Create(const GatewayOptions& options,
                                                                     OnWorkers on_workers) {
  SF_RETURN_IF_ERROR(options.Validate());
  std::unique_ptr<GatewayServer> gateway(new GatewayServer(options, std::move(on_workers)));
  SF_ASSIGN_OR_RETURN(gateway->registry_, WorkerRegistry::Create(options.workers));
  SF_RETURN_IF_ERROR(gateway->Listen());
  return gateway;
}

absl::Status GatewayServer::Listen() {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  inference_ = std::make_unique<InferenceService>(*registry_, draining_);
  control_ = std::make_unique<ControlService>(*registry_, draining_, [this] { StartDrain(); });
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(options_.listen, grpc::InsecureServerCredentials(), &port);
  builder.SetMaxReceiveMessageSize(kMaxRequestBytes);
  AllowKeepalive(builder);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.RegisterService(inference_.get());
  builder.RegisterService(control_.get());
  server_ = builder.BuildAndStart();
  if (server_ == nullptr || port == 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", options_.listen, "; is the address in use?"));
  }
  address_ = WithPort(options_.listen, port);
  SetReady(false);
  poller_ = std::make_unique<LoadPoller>(*registry_,
                                         LoadPollerOptions{.interval = options_.poll_interval},
                                         [this](size_t num_ready) { WorkersReported(num_ready); });
  return absl::OkStatus();
}

void GatewayServer::SetReady(bool any_worker_ready) {
  server_->GetHealthCheckService()->SetServingStatus(kReadyService, any_worker_ready && !draining_);
}

void GatewayServer::WorkersReported(size_t num_ready) {
  SetReady(num_ready > 0);
  if (num_ready_.exchange(num_ready) != num_ready && on_workers_) on_workers_(*this, num_ready);
}

void GatewayServer::StartDrain() {
  draining_ = true;
  SetReady(false);
}

void GatewayServer::Shutdown() {
  StartDrain();
  poller_.reset();  // its reports touch the server's health service
  server_->Shutdown(absl::ToChronoTime(absl::Now() + options_.drain_grace));
  server_->Wait();
}

GatewayServer::~GatewayServer() {
  poller_.reset();
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
}

}  // namespace spearfish::server
