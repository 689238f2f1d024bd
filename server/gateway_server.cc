#include "server/gateway_server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/channel_arguments.h>

#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/rpc/caller_identity.h"
#include "common/rpc/listener.h"
#include "common/vllm_engine/forwarding.h"

namespace spearfish::server {
namespace {

constexpr char kReadyService[] = "spearfish.v1.InferenceService";

BreakerState ToFigure(CircuitBreaker::State state) {
  switch (state) {
    case CircuitBreaker::State::kClosed:
      return BreakerState::kClosed;
    case CircuitBreaker::State::kOpen:
      return BreakerState::kOpen;
    case CircuitBreaker::State::kHalfOpen:
      return BreakerState::kHalfOpen;
  }
  return BreakerState::kClosed;
}

}  // namespace

absl::StatusOr<std::unique_ptr<GatewayServer>> GatewayServer::Create(const GatewayOptions& options,
                                                                     OnWorkers on_workers) {
  SF_RETURN_IF_ERROR(options.Validate());
  std::unique_ptr<GatewayServer> gateway(new GatewayServer(options, std::move(on_workers)));
  SF_ASSIGN_OR_RETURN(gateway->worker_security_, ChannelSecurity::Create(options.worker_security));
  gateway->registry_ = std::make_unique<WorkerRegistry>(
      std::vector<std::string>(), options.dispatch, *gateway->worker_security_);
  SF_ASSIGN_OR_RETURN(
      gateway->discovery_,
      WorkerDiscovery::Create(*gateway->registry_, {.addresses = options.workers,
                                                    .file = options.workers_file,
                                                    .interval = options.discovery_interval}));
  gateway->telemetry_.log_requests = options.log_requests;
  SF_RETURN_IF_ERROR(gateway->Listen());
  SF_RETURN_IF_ERROR(gateway->ServeMetrics());
  return gateway;
}

absl::Status GatewayServer::Listen() {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  admission_ = std::make_unique<AdmissionController>(options_.admission);
  SF_ASSIGN_OR_RETURN(const std::unique_ptr<Listener> listener,
                      Listener::Create(options_.listen, options_.listener));
  gate_ = listener->gate();
  const Entrance entrance{
      .admission = *admission_, .telemetry = telemetry_, .tokens = gate_->tokens()};
  inference_ = std::make_unique<InferenceService>(*registry_, entrance, draining_);
  control_ =
      std::make_unique<ControlService>(*registry_, draining_, entrance, [this] { StartDrain(); });
  vllm_engine_ = std::make_unique<vllm_engine::VllmEngineService>(
      [this](const grpc::ServerContextBase& call) { return CallerOf(call, gate_->tokens()); });
  grpc::ServerBuilder builder;
  listener->AddTo(builder);
  builder.RegisterService(inference_.get());
  builder.RegisterService(control_.get());
  builder.RegisterService(vllm_engine_.get());
  {
    const MutexLock lock(ready_mutex_);  // a Drain may come at once
    server_ = builder.BuildAndStart();
  }
  SF_ASSIGN_OR_RETURN(address_, listener->BoundAddress(server_ != nullptr));
  vllm_engine_->Connect(vllm_engine::ChannelTo(*server_));
  SetReady(false);
  SF_RETURN_IF_ERROR(ListenHttp(listener->tls()));
  poller_ = std::make_unique<LoadPoller>(*registry_,
                                         LoadPollerOptions{.interval = options_.poll_interval},
                                         [this](size_t num_ready) { WorkersReported(num_ready); });
  return absl::OkStatus();
}

absl::Status GatewayServer::ServeMetrics() {
  if (!options_.metrics_port) return absl::OkStatus();
  SF_ASSIGN_OR_RETURN(
      metrics_, MetricsServer::Start(absl::StrCat("0.0.0.0:", *options_.metrics_port), [this] {
        return GatewayReport(telemetry_.metrics, Figures());
      }));
  return absl::OkStatus();
}

std::optional<uint16_t> GatewayServer::metrics_port() const {
  if (metrics_ == nullptr) return std::nullopt;
  return metrics_->port();
}

GatewayFigures GatewayServer::Figures() const {
  GatewayFigures figures{.workers = {},
                         .queue_length = admission_->num_waiting(),
                         .running_sequences = admission_->num_running_sequences(),
                         .ready = ready_};
  for (WorkerStatus& status : registry_->Statuses()) {
    figures.workers.push_back({std::move(status.load), ToFigure(status.breaker)});
  }
  return figures;
}

absl::Status GatewayServer::ListenHttp(std::shared_ptr<ReloadedTls> tls) {
  if (options_.http.listen.empty()) return absl::OkStatus();
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  HttpServer::Backend backend{
      .channel = server_->InProcessChannel(arguments),
      .gate = HttpGate(gate_, options_.EncryptsHttp() ? HttpGate::Certificates::kVerified
                                                      : HttpGate::Certificates::kNone),
      .tls = options_.EncryptsHttp() ? std::move(tls) : nullptr,
      .ready = [this] { return num_ready_ > 0 && !stopping_ && !draining_; }};
  SF_ASSIGN_OR_RETURN(http_, HttpServer::Create(options_.http, std::move(backend)));
  return absl::OkStatus();
}

void GatewayServer::SetReady(bool any_worker_ready) {
  const MutexLock lock(ready_mutex_);  // a report must not undo what the drain says
  ready_ = any_worker_ready && !stopping_ && !draining_;
  server_->GetHealthCheckService()->SetServingStatus(kReadyService, ready_);
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
  vllm_engine_->AwaitIdle(end - absl::Now());
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
