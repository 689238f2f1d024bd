// spearfish.v1.ControlService of the gateway.
#ifndef SERVER_API_CONTROL_SERVICE_H_
#define SERVER_API_CONTROL_SERVICE_H_

#include <atomic>
#include <chrono>
#include <functional>

#include "server/api/entrance.h"
#include "server/dispatch/worker_registry.h"
#include "spearfish/v1/control.grpc.pb.h"

namespace spearfish::server {

// Answers for all workers: from the registry where a recent report will do, else by asking each.
// Thread-safe. Registry and the entrance's parts must outlive it and its calls.
class ControlService final : public v1::ControlService::CallbackService {
 public:
  // `drain` stops this gateway from admitting; the workers serve other gateways and go on.
  ControlService(WorkerRegistry& registry, const std::atomic<bool>& draining,
                 const Entrance& entrance, std::function<void()> drain);

  grpc::ServerUnaryReactor* Abort(grpc::CallbackServerContext* context,
                                  const v1::AbortRequest* request,
                                  v1::AbortResponse* response) override;
  grpc::ServerUnaryReactor* GetModelInfo(grpc::CallbackServerContext* context,
                                         const v1::GetModelInfoRequest* request,
                                         v1::GetModelInfoResponse* response) override;
  grpc::ServerUnaryReactor* GetServerInfo(grpc::CallbackServerContext* context,
                                          const v1::GetServerInfoRequest* request,
                                          v1::GetServerInfoResponse* response) override;
  grpc::ServerUnaryReactor* GetLoads(grpc::CallbackServerContext* context,
                                     const v1::GetLoadsRequest* request,
                                     v1::GetLoadsResponse* response) override;
  grpc::ServerUnaryReactor* GetExpertCacheStats(grpc::CallbackServerContext* context,
                                                const v1::GetExpertCacheStatsRequest* request,
                                                v1::GetExpertCacheStatsResponse* response) override;
  grpc::ServerUnaryReactor* Drain(grpc::CallbackServerContext* context,
                                  const v1::DrainRequest* request,
                                  v1::DrainResponse* response) override;

 private:
  // One that is always answered with OK.
  void Count(Method method) {
    entrance_.telemetry.metrics.CountRequest(method, grpc::StatusCode::OK);
  }

  WorkerRegistry& registry_;
  const std::atomic<bool>& draining_;
  const Entrance entrance_;
  const std::function<void()> drain_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

}  // namespace spearfish::server

#endif  // SERVER_API_CONTROL_SERVICE_H_
