#include "server/api/control_service.h"

#include <unistd.h>

#include <string>
#include <utility>

#include "common/base/version.h"
#include "server/api/fan_out.h"
#include "server/api/unary_proxy.h"
#include "server/api/upstream_context.h"

namespace spearfish::server {
namespace {

using Done = std::function<void(grpc::Status)>;

grpc::ServerUnaryReactor* FinishOk(grpc::CallbackServerContext& context) {
  grpc::ServerUnaryReactor* reactor = context.DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

}  // namespace

ControlService::ControlService(WorkerRegistry& registry, const std::atomic<bool>& draining,
                               const Entrance& entrance, std::function<void()> drain)
    : registry_(registry), draining_(draining), entrance_(entrance), drain_(std::move(drain)) {}

grpc::ServerUnaryReactor* ControlService::Abort(grpc::CallbackServerContext* /*context*/,
                                                const v1::AbortRequest* request,
                                                v1::AbortResponse* response) {
  Count(Method::kAbort);
  for (std::string& id :
       entrance_.admission.Abort({request->request_ids().begin(), request->request_ids().end()})) {
    response->add_aborted_request_ids(std::move(id));
  }
  // The gateway keeps no table of what runs: every worker is asked, its owner answers.
  return new FanOut<v1::AbortRequest, v1::AbortResponse>(
      registry_.AllConnections(), *request,
      [](const WorkerConnection& worker, grpc::ClientContext* context,
         const v1::AbortRequest* leg_request, v1::AbortResponse* leg_response, Done done) {
        worker.control->async()->Abort(context, leg_request, leg_response, std::move(done));
      },
      [response](const WorkerConnection& /*worker*/, const v1::AbortResponse& answer) {
        response->MergeFrom(answer);
      });
}

grpc::ServerUnaryReactor* ControlService::GetModelInfo(grpc::CallbackServerContext* context,
                                                       const v1::GetModelInfoRequest* request,
                                                       v1::GetModelInfoResponse* response) {
  return (new UnaryProxy(
              {registry_, *context, {}, RecordOf(entrance_, Method::kGetModelInfo, *context)},
              [request, response](const WorkerConnection& worker, grpc::ClientContext* upstream,
                                  Done done) {
                worker.control->async()->GetModelInfo(upstream, request, response, std::move(done));
              }))
      ->Start();
}

grpc::ServerUnaryReactor* ControlService::GetServerInfo(grpc::CallbackServerContext* context,
                                                        const v1::GetServerInfoRequest* /*request*/,
                                                        v1::GetServerInfoResponse* response) {
  Count(Method::kGetServerInfo);
  const std::chrono::duration<double> uptime = std::chrono::steady_clock::now() - started_;
  response->set_version(kVersion);
  response->set_role(v1::SERVER_ROLE_GATEWAY);
  response->set_uptime_seconds(uptime.count());
  response->set_pid(static_cast<uint32_t>(getpid()));
  response->set_draining(draining_);
  return FinishOk(*context);
}

grpc::ServerUnaryReactor* ControlService::GetLoads(grpc::CallbackServerContext* context,
                                                   const v1::GetLoadsRequest* /*request*/,
                                                   v1::GetLoadsResponse* response) {
  Count(Method::kGetLoads);
  for (v1::WorkerLoad& load : registry_.Loads()) *response->add_workers() = std::move(load);
  return FinishOk(*context);
}

grpc::ServerUnaryReactor* ControlService::GetExpertCacheStats(
    grpc::CallbackServerContext* /*context*/, const v1::GetExpertCacheStatsRequest* request,
    v1::GetExpertCacheStatsResponse* response) {
  Count(Method::kGetExpertCacheStats);
  return new FanOut<v1::GetExpertCacheStatsRequest, v1::GetExpertCacheStatsResponse>(
      registry_.Connections(), *request,
      [](const WorkerConnection& worker, grpc::ClientContext* context,
         const v1::GetExpertCacheStatsRequest* leg_request,
         v1::GetExpertCacheStatsResponse* leg_response, Done done) {
        worker.control->async()->GetExpertCacheStats(context, leg_request, leg_response,
                                                     std::move(done));
      },
      [response](const WorkerConnection& worker, const v1::GetExpertCacheStatsResponse& answer) {
        for (const v1::ExpertCacheStats& stats : answer.workers()) {
          *response->add_workers() = stats;
          response->mutable_workers()->rbegin()->set_address(worker.address);
        }
      });
}

grpc::ServerUnaryReactor* ControlService::Drain(grpc::CallbackServerContext* context,
                                                const v1::DrainRequest* /*request*/,
                                                v1::DrainResponse* /*response*/) {
  Count(Method::kDrain);
  drain_();
  return FinishOk(*context);
}

}  // namespace spearfish::server
