// One Generate call: collects the engine's events and answers once.
#ifndef WORKER_RPC_GENERATE_REACTOR_H_
#define WORKER_RPC_GENERATE_REACTOR_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/rpc/live_calls.h"
#include "spearfish/v1/inference.pb.h"
#include "worker/rpc/admitted_request.h"
#include "worker/rpc/call_log.h"
#include "worker/rpc/engine_link.h"

namespace spearfish::worker {

// Only Start and then the engine's thread touch the response, so it needs no lock. A cancelled
// call ends when the engine has let the request go.
//
// Lifetime: shared between gRPC (`self_`, from Create to OnDone) and the engine's sink, because the
// event that ends the call may still be in OnEvent when gRPC is done with it on another thread.
class GenerateReactor final : public grpc::ServerUnaryReactor,
                              public std::enable_shared_from_this<GenerateReactor> {
 public:
  // Once admitted it counts among `calls`, until OnDone; all are valid until then. `log` is null
  // when nobody wants a line.
  static std::shared_ptr<GenerateReactor> Create(LiveCalls& calls,
                                                 grpc::CallbackServerContext& context,
                                                 v1::GenerateResponse& response,
                                                 std::unique_ptr<CallLog> log);

  // Once, from any thread. An error ends the call with it.
  void Start(absl::StatusOr<AdmittedRequest> admitted);

  void OnCancel() override { link_.Cancel(); }
  void OnDone() override;

 private:
  GenerateReactor(LiveCalls& calls, grpc::CallbackServerContext& context,
                  v1::GenerateResponse& response, std::unique_ptr<CallLog> log)
      : context_(context), response_(response), log_(std::move(log)), calls_(calls) {}

  void OnEvent(EngineEvent event);
  void Collect(EngineEvent event);
  void End(const absl::Status& status);

  grpc::CallbackServerContext& context_;
  v1::GenerateResponse& response_;
  const std::unique_ptr<CallLog> log_;
  LiveCalls& calls_;
  std::optional<LiveCalls::Call> live_;  // from its admission to OnDone
  std::shared_ptr<GenerateReactor> self_;
  EngineLink link_;
  EventDetail detail_;  // written before the engine gets the sink
};

}  // namespace spearfish::worker

#endif  // WORKER_RPC_GENERATE_REACTOR_H_
