// One unary call through the gateway to one worker.
#ifndef SERVER_API_UNARY_PROXY_H_
#define SERVER_API_UNARY_PROXY_H_

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "common/base/mutex.h"
#include "server/api/admitted_call.h"
#include "server/api/attempts.h"
#include "server/api/pause.h"
#include "server/dispatch/worker_registry.h"
#include "server/metrics/call_record.h"

namespace spearfish::server {

// Calls `call` on the worker that dispatch picks, and on others while workers are lost. Deletes
// itself in OnDone; once one of the Starts was called. Request and response belong to gRPC until
// then.
class UnaryProxy final : public grpc::ServerUnaryReactor {
 public:
  // Starts the asynchronous call on a worker's stub and reports its end.
  using Call = std::function<void(const WorkerConnection& worker, grpc::ClientContext* context,
                                  std::function<void(grpc::Status)> done)>;
  // After a good answer, with the worker's address, before the client gets it.
  using Succeeded = std::function<void(const std::string& address, CallRecord& record)>;

  struct Parts {
    WorkerRegistry& registry;
    grpc::CallbackServerContext& context;
    RouteRequest route;
    CallRecord record;
  };
  UnaryProxy(
      Parts parts, Call call, Succeeded succeeded = [](const std::string&, CallRecord&) {});

  // Both return `this`.
  UnaryProxy* Start();
  UnaryProxy* StartWhenAdmitted(AdmissionController& admission, AdmissionRequest request);

  void OnCancel() override;
  void OnDone() override { delete this; }

 private:
  void StartAttempt();
  void AttemptDone(const grpc::Status& status);
  // Of the worker that was lost.
  void LetGo();
  void End(const grpc::Status& status);

  grpc::CallbackServerContext& context_;
  const Call call_;
  const Succeeded succeeded_;
  Attempts attempts_;
  CallRecord record_;
  std::optional<AdmittedCall> admitted_;
  Pause pause_;
  grpc::Status last_failure_;  // of a worker
  std::unique_ptr<WorkerLease> lease_;

  Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<grpc::ClientContext> upstream_;  // replaced only between attempts, under mutex_
};

}  // namespace spearfish::server

#endif  // SERVER_API_UNARY_PROXY_H_
