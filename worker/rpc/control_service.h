// spearfish.v1.ControlService on one worker.
#ifndef WORKER_RPC_CONTROL_SERVICE_H_
#define WORKER_RPC_CONTROL_SERVICE_H_

#include "spearfish/v1/control.grpc.pb.h"
#include "worker/rpc/serving_state.h"
#include "worker/rpc/task_thread.h"

namespace spearfish::worker {

// Methods run on gRPC's threads and never block: what reads /proc goes to the task thread. Both
// references must outlive the server.
class ControlService final : public v1::ControlService::CallbackService {
 public:
  ControlService(ServingState& state, TaskThread& tasks) : state_(state), tasks_(tasks) {}

  // While loading nothing is live, so nothing is aborted.
  grpc::ServerUnaryReactor* Abort(grpc::CallbackServerContext* context,
                                  const v1::AbortRequest* request,
                                  v1::AbortResponse* response) override;
  // UNAVAILABLE while loading.
  grpc::ServerUnaryReactor* GetModelInfo(grpc::CallbackServerContext* context,
                                         const v1::GetModelInfoRequest* request,
                                         v1::GetModelInfoResponse* response) override;
  grpc::ServerUnaryReactor* GetServerInfo(grpc::CallbackServerContext* context,
                                          const v1::GetServerInfoRequest* request,
                                          v1::GetServerInfoResponse* response) override;
  // While loading: the address, not ready, the rest zero.
  grpc::ServerUnaryReactor* GetLoads(grpc::CallbackServerContext* context,
                                     const v1::GetLoadsRequest* request,
                                     v1::GetLoadsResponse* response) override;
  // UNAVAILABLE while loading.
  grpc::ServerUnaryReactor* GetExpertCacheStats(grpc::CallbackServerContext* context,
                                                const v1::GetExpertCacheStatsRequest* request,
                                                v1::GetExpertCacheStatsResponse* response) override;
  grpc::ServerUnaryReactor* Drain(grpc::CallbackServerContext* context,
                                  const v1::DrainRequest* request,
                                  v1::DrainResponse* response) override;

 private:
  ServingState& state_;
  TaskThread& tasks_;
};

}  // namespace spearfish::worker

#endif  // WORKER_RPC_CONTROL_SERVICE_H_
