// One unary call through the gateway to one worker.
#ifndef SERVER_API_UNARY_PROXY_H_
#define SERVER_API_UNARY_PROXY_H_

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "common/base/mutex.h"
#include "server/api/upstream_status.h"
#include "server/dispatch/worker_registry.h"

namespace spearfish::server {

// Calls `call` on the least loaded ready worker, and on the next one while workers answer
// UNAVAILABLE. Deletes itself in OnDone. Request and response belong to gRPC until then.
class UnaryProxy final : public grpc::ServerUnaryReactor {
 public:
  // Starts the asynchronous call on a worker's stub and reports its end.
  using Call = std::function<void(const WorkerConnection& worker, grpc::ClientContext* context,
                                  std::function<void(grpc::Status)> done)>;
  // After a good answer, with the worker's address, before the client gets it.
  using Succeeded = std::function<void(const std::string& address)>;

  UnaryProxy(
      WorkerRegistry& registry, grpc::CallbackServerContext& context, Call call,
      Succeeded succeeded = [](const std::string&) {});

  void OnCancel() override;
  void OnDone() override { delete this; }

 private:
  void StartAttempt();
  void AttemptDone(const grpc::Status& status);

  WorkerRegistry& registry_;
  grpc::CallbackServerContext& context_;
  const Call call_;
  const Succeeded succeeded_;
  std::vector<size_t> tried_;
  std::unique_ptr<WorkerLease> lease_;

  Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<grpc::ClientContext> upstream_;  // replaced only between attempts, under mutex_
};

}  // namespace spearfish::server

#endif  // SERVER_API_UNARY_PROXY_H_
