// One GenerateStream call through the gateway: a client on one side, a worker on the other.
#ifndef SERVER_API_GENERATE_STREAM_PROXY_H_
#define SERVER_API_GENERATE_STREAM_PROXY_H_

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/client_callback.h>
#include <grpcpp/support/server_callback.h>

#include <memory>

#include "absl/base/thread_annotations.h"
#include "common/base/mutex.h"
#include "server/api/admitted_call.h"
#include "server/api/attempts.h"
#include "server/api/pause.h"
#include "server/api/stream_progress.h"
#include "server/dispatch/worker_registry.h"
#include "server/metrics/call_record.h"
#include "spearfish/v1/inference.grpc.pb.h"

namespace spearfish::server {

// Waits to be admitted, then forwards messages one by one: a read from the worker, then a write to
// the client, then the next read, so a slow client holds back its worker stream and no memory
// grows. A worker that is lost is replaced: before the first message the request is sent again as
// it was, after it as a continuation of what the client has. Deletes itself in OnDone. The
// reactions of the client's side, of the attempt and of the pause follow one another; only OnCancel
// comes at any time, and touches only what the mutexes guard.
class GenerateStreamProxy final : public grpc::ServerWriteReactor<v1::GenerateStreamResponse> {
 public:
  // Context, registry and the entrance's parts must outlive the call. The request has a seed unless
  // it is greedy.
  struct Parts {
    WorkerRegistry& registry;
    const Entrance& entrance;
    grpc::CallbackServerContext& context;
    RouteRequest route;
    CallRecord record;
  };
  GenerateStreamProxy(Parts parts, v1::GenerateStreamRequest request);

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

    WorkerLease& lease() { return lease_; }
    const grpc::ClientContext& context() const { return *context_; }
    v1::GenerateStreamResponse& response() { return response_; }

   private:
    GenerateStreamProxy& proxy_;
    WorkerLease lease_;
    const std::unique_ptr<grpc::ClientContext> context_;
    v1::GenerateStreamResponse response_;
  };

  void StartAttempt();
  void Forward();
  void AttemptDone(const grpc::Status& status);
  // Of the attempt that is over, and its place at the worker.
  void LetGo();
  // Whether an attempt's end says nothing of the request.
  bool IsNoAnswer(const grpc::Status& status) const;
  // Whether another worker should have it after this end.
  bool MayGoOn(const grpc::Status& status);
  grpc::Status FinalStatus(const grpc::Status& status) const;
  void End(const grpc::Status& status);

  grpc::CallbackServerContext& context_;
  AdmittedCall admitted_;
  Attempts attempts_;
  Pause pause_;
  StreamProgress progress_;
  CallRecord record_;
  bool begun_before_ = false;       // when the current attempt started
  bool lost_before_;                // a worker or a gateway, with this request
  bool attempt_delivered_ = false;  // the current attempt has given tokens
  bool client_gone_ = false;        // it took a message no more
  grpc::Status last_failure_;       // of a worker

  Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  // Replaced only between attempts, under the mutex; null while there is none.
  std::unique_ptr<Attempt> attempt_;
};

}  // namespace spearfish::server

#endif  // SERVER_API_GENERATE_STREAM_PROXY_H_
