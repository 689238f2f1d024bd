// One GenerateStream call: the engine's events, written as fast as the client reads.
#ifndef WORKER_RPC_GENERATE_STREAM_REACTOR_H_
#define WORKER_RPC_GENERATE_STREAM_REACTOR_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/rpc/live_calls.h"
#include "spearfish/v1/inference.pb.h"
#include "worker/rpc/admitted_request.h"
#include "worker/rpc/call_log.h"
#include "worker/rpc/engine_link.h"

namespace spearfish::worker {

// Events come on the engine's thread and are queued; one write is in flight at a time. While it
// is, deltas of a sequence merge, so however slow the client, the queue holds what the sequences
// are long, in few messages. After a cancellation nothing is written, and the call ends when the
// engine has let the request go (within one step).
//
// Lifetime: shared between gRPC (`self_`, from Create to OnDone) and the engine's sink, because the
// event that ends the call may still be in OnEvent when gRPC is done with it on another thread.
class GenerateStreamReactor final : public grpc::ServerWriteReactor<v1::GenerateStreamResponse>,
                                    public std::enable_shared_from_this<GenerateStreamReactor> {
 public:
  // Once admitted it counts among `calls`, until OnDone; all are valid until then. `log` is null
  // when nobody wants a line.
  static std::shared_ptr<GenerateStreamReactor> Create(LiveCalls& calls,
                                                       grpc::CallbackServerContext& context,
                                                       std::unique_ptr<CallLog> log);

  // Once, from any thread; the call can't end before. An error ends the call with it.
  void Start(absl::StatusOr<AdmittedRequest> admitted);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  GenerateStreamReactor(LiveCalls& calls, grpc::CallbackServerContext& context,
                        std::unique_ptr<CallLog> log)
      : context_(context), log_(std::move(log)), calls_(calls) {}

  void OnEvent(EngineEvent event);
  void Enqueue(EngineEvent event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EnqueueDelta(v1::Delta delta) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StopWriting();
  // Writes what is next, or finishes, unless a write is in flight.
  void Advance();

  grpc::CallbackServerContext& context_;
  const std::unique_ptr<CallLog> log_;
  LiveCalls& calls_;
  std::optional<LiveCalls::Call> live_;  // from its admission to OnDone
  std::shared_ptr<GenerateStreamReactor> self_;
  EngineLink link_;
  EventDetail detail_;                  // written before the engine gets the sink
  v1::GenerateStreamResponse current_;  // of the write in flight; touched by who set busy_

  Mutex mutex_;
  // A write is in flight; Start hasn't ended; or the call has been finished.
  bool busy_ ABSL_GUARDED_BY(mutex_) = true;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<v1::GenerateStreamResponse> queue_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Status> final_ ABSL_GUARDED_BY(mutex_);  // once no event follows
};

}  // namespace spearfish::worker

#endif  // WORKER_RPC_GENERATE_STREAM_REACTOR_H_
