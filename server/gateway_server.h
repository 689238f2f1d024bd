// The gateway's parts put together: registry, poller, services, gRPC server.
#ifndef SERVER_GATEWAY_SERVER_H_
#define SERVER_GATEWAY_SERVER_H_

#include <grpcpp/server.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/metrics/metrics_server.h"
#include "common/rpc/call_gate.h"
#include "common/rpc/channel_security.h"
#include "common/rpc/tls_files.h"
#include "common/vllm_engine/vllm_engine_service.h"
#include "server/admission/admission_controller.h"
#include "server/api/control_service.h"
#include "server/api/inference_service.h"
#include "server/dispatch/worker_discovery.h"
#include "server/dispatch/worker_registry.h"
#include "server/gateway_options.h"
#include "server/health/load_poller.h"
#include "server/http/http_server.h"
#include "server/metrics/call_record.h"
#include "server/metrics/gateway_report.h"

namespace spearfish::server {

// Keeps nothing that a restart would lose. Methods may be called from any thread.
class GatewayServer {
 public:
  // Hears when the number of ready workers changes, on threads of gRPC, one call at a time; the
  // reports of all workers wait for it.
  using OnWorkers = std::function<void(const GatewayServer& gateway, size_t num_ready)>;

  // Listens before it returns. InvalidArgument for bad options, Unavailable when the address can't
  // be bound.
  static absl::StatusOr<std::unique_ptr<GatewayServer>> Create(const GatewayOptions& options,
                                                               OnWorkers on_workers = nullptr);
  ~GatewayServer();

  // HOST:PORT with the port that was bound, or unix:PATH.
  const std::string& address() const { return address_; }
  // HOST:PORT with the port that was bound; empty without HTTP.
  std::string http_address() const { return http_ == nullptr ? "" : http_->address(); }
  size_t num_workers() const { return registry_->size(); }
  // What the port asks of calls, for fronts beside it: see common/rpc/caller_identity.h.
  const CallGate& gate() const { return *gate_; }
  // The port that was bound; nullopt when metrics are not served.
  std::optional<uint16_t> metrics_port() const;

  // Not ready and admits nothing from now on; running requests go on.
  void StartDrain();
  // Not ready; after the settle time admits nothing; ends when the running requests have, or after
  // the grace period by cancelling them.
  void Shutdown();

 private:
  GatewayServer(const GatewayOptions& options, OnWorkers on_workers)
      : options_(options), on_workers_(std::move(on_workers)) {}
  absl::Status Listen();
  absl::Status ServeMetrics();
  GatewayFigures Figures() const;
  absl::Status ListenHttp(std::shared_ptr<ReloadedTls> tls);
  void SetReady(bool any_worker_ready);
  void WorkersReported(size_t num_ready);
  void UpdateCapacity(size_t num_ready);

  const GatewayOptions options_;
  const OnWorkers on_workers_;
  std::string address_;
  Telemetry telemetry_;
  // Orders changes of ready_ and of what the health service says; a Drain waits for server_.
  Mutex ready_mutex_;
  std::atomic<bool> ready_ = false;
  std::atomic<bool> stopping_ = false;  // not ready any more, but may still admit
  std::atomic<bool> draining_ = false;
  std::atomic<size_t> num_ready_ = 0;
  std::atomic<int64_t> last_ready_ns_ = 0;  // when a worker was, on the system clock
  // Order of destruction matters: the poller, HTTP and the server first, then metrics, the
  // services, discovery, the registry, what they ask for credentials.
  std::shared_ptr<CallGate> gate_;  // shared with the server's port
  std::unique_ptr<ChannelSecurity> worker_security_;
  std::unique_ptr<WorkerRegistry> registry_;
  std::unique_ptr<WorkerDiscovery> discovery_;
  std::unique_ptr<AdmissionController> admission_;
  std::unique_ptr<InferenceService> inference_;
  std::unique_ptr<ControlService> control_;
  std::unique_ptr<vllm_engine::VllmEngineService> vllm_engine_;
  std::unique_ptr<MetricsServer> metrics_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<HttpServer> http_;
  std::unique_ptr<LoadPoller> poller_;
};

}  // namespace spearfish::server

#endif  // SERVER_GATEWAY_SERVER_H_
