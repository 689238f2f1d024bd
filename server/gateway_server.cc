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
  gateway->registry_ =
      std::make_unique<WorkerRegistry>(std::vector<std::string>(), options.dispatch);
  SF_ASSIGN_OR_RETURN(
      gateway->discovery_,
      WorkerDiscovery::Create(*gateway->registry_, {.addresses = options.workers,
                                                    .file = options.workers_file,
                                                    .interval = options.discovery_interval}));
  SF_RETURN_IF_ERROR(gateway->Listen());
  return gateway;
}

absl::Status GatewayServer::Listen() {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  admission_ = std::make_unique<AdmissionController>(options_.admission);
  inference_ = std::make_unique<InferenceService>(*registry_, *admission_, draining_);
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
  SF_RETURN_IF_ERROR(ListenHttp());
  poller_ = std::make_unique<LoadPoller>(*registry_,
                                         LoadPollerOptions{.interval = options_.poll_interval},
                                         [this](size_t num_ready) { WorkersReported(num_ready); });
  return absl::OkStatus();
}

absl::Status GatewayServer::ListenHttp() {
  if (options_.http.listen.empty()) return absl::OkStatus();
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  HttpServer::Backend backend{
      .channel = server_->InProcessChannel(arguments),
      .check = [](absl::string_view /*authorization*/, absl::string_view peer)
          -> absl::StatusOr<std::string> { return std::string(peer); },
      .ready = [this] { return num_ready_ > 0 && !stopping_ && !draining_; }};
  SF_ASSIGN_OR_RETURN(http_, HttpServer::Create(options_.http, std::move(backend)));
  return absl::OkStatus();
}

void GatewayServer::SetReady(bool any_worker_ready) {
  server_->GetHealthCheckService()->SetServingStatus(kReadyService,
                                                     any_worker_ready && !stopping_ && !draining_);
}

// A queue that is let go because no worker is ready would come down on the first that returns: for
// a moment it waits, too.
void GatewayServer::UpdateCapacity(size_t num_ready) {
  const int64_t now_ns = absl::ToUnixNanos(absl::Now());
  if (num_ready > 0) {
    last_ready_ns_ = now_ns;
  } else if (absl::Nanoseconds(now_ns - last_ready_ns_) < options_.dispatch.retry.patience) {
    return;
  }
  uint64_t capacity = options_.max_in_flight;
  if (capacity == 0) {
    capacity = registry_->capacity();
    // The next in line waits at the worker: its slot is filled in the step after it is free.
    capacity += capacity / 8 + num_ready;
  }
  admission_->SetCapacity(num_ready == 0 ? 0 : capacity);
}

void GatewayServer::WorkersReported(size_t num_ready) {
  UpdateCapacity(num_ready);
  SetReady(num_ready > 0);
  if (num_ready_.exchange(num_ready) != num_ready && on_workers_) on_workers_(*this, num_ready);
}

void GatewayServer::StartDrain() {
  draining_ = true;
  SetReady(false);
}

void GatewayServer::Shutdown() {
  const absl::Time end = absl::Now() + options_.drain_grace;
  stopping_ = true;
  SetReady(false);
  absl::SleepFor(options_.drain_settle);
  StartDrain();
  // Before the server, whose shutdown would break off the calls of the in-process channel.
  if (http_ != nullptr) http_->Stop(end);
  server_->Shutdown(absl::ToChronoTime(end));
  server_->Wait();
}

GatewayServer::~GatewayServer() {
  poller_.reset();
  http_.reset();
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
}

}  // namespace spearfish::server
