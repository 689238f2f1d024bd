#include "server/api/inference_service.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_format.h"
#include "server/api/generate_stream_proxy.h"
#include "server/api/unary_proxy.h"

namespace spearfish::server {
namespace {

// The client may leave the id out; it is made here, so that a retry at another worker keeps it and
// the client can abort by it.
template <typename Request>
Request WithId(const Request& request) {
  Request copy = request;
  if (copy.request_id().empty()) {
    static thread_local absl::BitGen bits;
    copy.set_request_id(absl::StrFormat("gw-%016x%016x", absl::Uniform<uint64_t>(bits),
                                        absl::Uniform<uint64_t>(bits)));
  }
  return copy;
}

grpc::Status Draining() {
  return grpc::Status(grpc::StatusCode::UNAVAILABLE,
                      "gateway is draining; send the request to another gateway");
}

// Ends a stream before it began.
class FailedStream final : public grpc::ServerWriteReactor<v1::GenerateStreamResponse> {
 public:
  explicit FailedStream(const grpc::Status& status) { Finish(status); }
  void OnDone() override { delete this; }
};

grpc::ServerUnaryReactor* FailUnary(grpc::CallbackServerContext& context,
                                    const grpc::Status& status) {
  grpc::ServerUnaryReactor* reactor = context.DefaultReactor();
  reactor->Finish(status);
  return reactor;
}

}  // namespace

grpc::ServerUnaryReactor* InferenceService::Generate(grpc::CallbackServerContext* context,
                                                     const v1::GenerateRequest* request,
                                                     v1::GenerateResponse* response) {
  if (draining_) return FailUnary(*context, Draining());
  auto copy = std::make_shared<v1::GenerateRequest>(WithId(*request));  // std::function is copyable
  return new UnaryProxy(
      registry_, *context,
      [copy, response](const WorkerConnection& worker, grpc::ClientContext* upstream,
                       std::function<void(grpc::Status)> done) {
        worker.inference->async()->Generate(upstream, copy.get(), response, std::move(done));
      },
      [response](const std::string& address) {
        response->mutable_prompt_info()->set_routed_worker(address);
      });
}

grpc::ServerWriteReactor<v1::GenerateStreamResponse>* InferenceService::GenerateStream(
    grpc::CallbackServerContext* context, const v1::GenerateStreamRequest* request) {
  if (draining_) return new FailedStream(Draining());
  return new GenerateStreamProxy(registry_, *context, WithId(*request));
}

grpc::ServerUnaryReactor* InferenceService::Tokenize(grpc::CallbackServerContext* context,
                                                     const v1::TokenizeRequest* request,
                                                     v1::TokenizeResponse* response) {
  return new UnaryProxy(
      registry_, *context,
      [request, response](const WorkerConnection& worker, grpc::ClientContext* upstream,
                          std::function<void(grpc::Status)> done) {
        worker.inference->async()->Tokenize(upstream, request, response, std::move(done));
      });
}

grpc::ServerUnaryReactor* InferenceService::Detokenize(grpc::CallbackServerContext* context,
                                                       const v1::DetokenizeRequest* request,
                                                       v1::DetokenizeResponse* response) {
  return new UnaryProxy(
      registry_, *context,
      [request, response](const WorkerConnection& worker, grpc::ClientContext* upstream,
                          std::function<void(grpc::Status)> done) {
        worker.inference->async()->Detokenize(upstream, request, response, std::move(done));
      });
}

}  // namespace spearfish::server
