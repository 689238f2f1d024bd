// spearfish.v1.InferenceService of the gateway.
#ifndef SERVER_API_INFERENCE_SERVICE_H_
#define SERVER_API_INFERENCE_SERVICE_H_

#include <atomic>

#include "server/api/entrance.h"
#include "server/dispatch/worker_registry.h"
#include "server/metrics/call_record.h"
#include "spearfish/v1/inference.grpc.pb.h"

namespace spearfish::server {

// Forwards every call to a worker; those that generate pass admission first. Keeps nothing.
// Thread-safe. Registry, the entrance's parts and `draining` must outlive it and its calls.
class InferenceService final : public v1::InferenceService::CallbackService {
 public:
  InferenceService(WorkerRegistry& registry, const Entrance& entrance,
                   const std::atomic<bool>& draining)
      : registry_(registry), entrance_(entrance), draining_(draining) {}

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

 private:
  // What a call is told that comes while draining.
  grpc::Status Draining(CallRecord record) const;

  WorkerRegistry& registry_;
  const Entrance entrance_;
  const std::atomic<bool>& draining_;
};

}  // namespace spearfish::server

#endif  // SERVER_API_INFERENCE_SERVICE_H_
