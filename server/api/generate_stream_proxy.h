// One GenerateStream call through the gateway: a client on one side, a worker on the other.
#ifndef SERVER_API_GENERATE_STREAM_PROXY_H_
#define SERVER_API_GENERATE_STREAM_PROXY_H_

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/client_callback.h>
#include <grpcpp/support/server_callback.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "common/base/mutex.h"
#include "server/dispatch/worker_registry.h"
#include "spearfish/v1/inference.grpc.pb.h"

namespace spearfish::server {

// Forwards messages one by one: a read from the worker, then a write to the client, then the next
// read, so a slow client holds back its worker stream and no memory grows. A worker that fails
// with UNAVAILABLE before its first message is replaced by the next ready one. Deletes itself in
// OnDone. Reactions of the two sides alternate, except OnCancel, which only takes the mutex.
class GenerateStreamProxy final : public grpc::ServerWriteReactor<v1::GenerateStreamResponse> {
 public:
  // `context` and the registry must outlive the call; the request is copied.
  GenerateStreamProxy(WorkerRegistry& registry, grpc::CallbackServerContext& context,
                      v1::GenerateStreamRequest request);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  // One try at one worker.
  class Attempt final : public grpc::ClientReadReactor<v1::GenerateStreamResponse> {
   public:
    Attempt(GenerateStreamProxy& proxy, WorkerLease lease);
    void Start(const v1::GenerateStreamRequest& request);
    void Read();
    void Cancel() { context_->TryCancel(); }
    void OnReadDone(bool ok) override;
    void OnDone(const grpc::Status& status) override;

    const WorkerLease& lease() const { return lease_; }
    const grpc::ClientContext& context() const { return *context_; }
    v1::GenerateStreamResponse& response() { return response_; }

   private:
    GenerateStreamProxy& proxy_;
    const WorkerLease lease_;
    const std::unique_ptr<grpc::ClientContext> context_;
    v1::GenerateStreamResponse response_;
  };

  void StartAttempt();
  void Forward();
  void AttemptDone(const grpc::Status& status);

  WorkerRegistry& registry_;
  grpc::CallbackServerContext& context_;
  const v1::GenerateStreamRequest request_;
  std::vector<size_t> tried_;
  uint64_t messages_forwarded_ = 0;
  uint64_t tokens_forwarded_ = 0;

  Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<Attempt> attempt_;  // replaced only between attempts, under the mutex
};

}  // namespace spearfish::server

#endif  // SERVER_API_GENERATE_STREAM_PROXY_H_
