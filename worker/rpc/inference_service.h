// spearfish.v1.InferenceService on one worker.
#ifndef WORKER_RPC_INFERENCE_SERVICE_H_
#define WORKER_RPC_INFERENCE_SERVICE_H_

#include <cstddef>
#include <functional>

#include "absl/time/time.h"
#include "common/rpc/live_calls.h"
#include "spearfish/v1/inference.grpc.pb.h"
#include "worker/rpc/serving_state.h"
#include "worker/rpc/task_thread.h"

namespace spearfish::worker {

// Whether each request that generates gets a line in the log when it is over.
enum class RequestLog { kOff, kOn };

// Methods run on gRPC's threads and never block; texts too long to tokenise there go to the task
// thread. Both references must outlive the server.
class InferenceService final : public v1::InferenceService::CallbackService {
 public:
  InferenceService(const ServingState& state, TaskThread& tasks, RequestLog log)
      : state_(state), tasks_(tasks), log_(log) {}

  grpc::ServerUnaryReactor* Generate(grpc::CallbackServerContext* context,
                                     const v1::GenerateRequest* request,
                                     v1::GenerateResponse* response) override;
  grpc::ServerWriteReactor<v1::GenerateStreamResponse>* GenerateStream(
      grpc::CallbackServerContext* context, const v1::GenerateStreamRequest* request) override;
  grpc::ServerUnaryReactor* Tokenize(grpc::CallbackServerContext* context,
                                     const v1::TokenizeRequest* request,
                                     v1::TokenizeResponse* response) override;
  grpc::ServerUnaryReactor* Detokenize(grpc::CallbackServerContext* context,
                                       const v1::DetokenizeRequest* request,
                                       v1::DetokenizeResponse* response) override;

  // False when after this time admitted calls still run or their clients have not read all.
  bool AwaitIdle(absl::Duration timeout) { return live_.AwaitNone(timeout); }

 private:
  // Here, or on the task thread when `text_bytes` take long to tokenise.
  void RunTokenizing(size_t text_bytes, std::function<void()> work);
  // The same for calls that nothing has admitted: too many at once are refused, and what nobody
  // waits for any more is left out.
  void RunUnadmitted(size_t bytes, grpc::CallbackServerContext& context,
                     grpc::ServerUnaryReactor& reactor, std::function<absl::Status()> work);

  const ServingState& state_;
  TaskThread& tasks_;
  const RequestLog log_;
  LiveCalls live_;
};

}  // namespace spearfish::worker

#endif  // WORKER_RPC_INFERENCE_SERVICE_H_
