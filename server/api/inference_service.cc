#include "server/api/inference_service.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_format.h"
#include "server/api/generate_stream_proxy.h"
#include "server/api/unary_proxy.h"
#include "server/api/upstream_context.h"
#include "server/dispatch/route_key.h"

namespace spearfish::server {
namespace {

// Of calls that take no place in a worker's batch.
constexpr RouteRequest kNoSequences{.affinity_key = 0, .num_sequences = 0};

// The client may leave id and seed out; they are chosen here, so that another worker goes on with
// the same, and the client can abort by the id.
template <typename Request>
Request WithIdAndSeed(const Request& request) {
  Request copy = request;
  static thread_local absl::BitGen bits;
  if (copy.request_id().empty()) {
    copy.set_request_id(absl::StrFormat("gw-%016x%016x", absl::Uniform<uint64_t>(bits),
                                        absl::Uniform<uint64_t>(bits)));
  }
  if (!copy.sampling().has_seed()) {
    copy.mutable_sampling()->set_seed(absl::Uniform<uint64_t>(bits));
  }
  return copy;
}

template <typename Request>
RouteRequest RouteOf(const WorkerRegistry& registry, const Request& request) {
  return {.affinity_key = AffinityKey(registry.options().policy, request),
          .num_sequences = NumSequences(request)};
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

grpc::Status InferenceService::Draining(CallRecord record) const {
  const grpc::Status status(grpc::StatusCode::UNAVAILABLE,
                            "gateway is draining; send the request to another gateway");
  record.Rejected(Rejection::kDraining);
  record.Finished(status);
  return status;
}

grpc::ServerUnaryReactor* InferenceService::Generate(grpc::CallbackServerContext* context,
                                                     const v1::GenerateRequest* request,
                                                     v1::GenerateResponse* response) {
  auto copy =
      std::make_shared<v1::GenerateRequest>(WithIdAndSeed(*request));  // std::function is copyable
  CallRecord record =
      RecordOf(entrance_, Method::kGenerate, *context, copy->request_id(), NumSequences(*copy));
  if (draining_) return FailUnary(*context, Draining(std::move(record)));
  auto* const proxy = new UnaryProxy(
      {registry_, *context, RouteOf(registry_, *copy), std::move(record)},
      [copy, response](const WorkerConnection& worker, grpc::ClientContext* upstream,
                       std::function<void(grpc::Status)> done) {
        worker.inference->async()->Generate(upstream, copy.get(), response, std::move(done));
      },
      [response](const std::string& address, CallRecord& succeeded) {
        response->mutable_prompt_info()->set_routed_worker(address);
        succeeded.Note(*response);
      });
  return proxy->StartWhenAdmitted(entrance_.admission, AdmissionOf(entrance_, *context, *copy));
}

grpc::ServerWriteReactor<v1::GenerateStreamResponse>* InferenceService::GenerateStream(
    grpc::CallbackServerContext* context, const v1::GenerateStreamRequest* request) {
  v1::GenerateStreamRequest copy = WithIdAndSeed(*request);
  CallRecord record =
      RecordOf(entrance_, Method::kGenerateStream, *context, copy.request_id(), NumSequences(copy));
  if (draining_) return new FailedStream(Draining(std::move(record)));
  const RouteRequest route = RouteOf(registry_, copy);
  return new GenerateStreamProxy({registry_, entrance_, *context, route, std::move(record)},
                                 std::move(copy));
}

grpc::ServerUnaryReactor* InferenceService::Tokenize(grpc::CallbackServerContext* context,
                                                     const v1::TokenizeRequest* request,
                                                     v1::TokenizeResponse* response) {
  return (new UnaryProxy(
              {registry_, *context, kNoSequences, RecordOf(entrance_, Method::kTokenize, *context)},
              [request, response](const WorkerConnection& worker, grpc::ClientContext* upstream,
                                  std::function<void(grpc::Status)> done) {
                worker.inference->async()->Tokenize(upstream, request, response, std::move(done));
              }))
      ->Start();
}

grpc::ServerUnaryReactor* InferenceService::Detokenize(grpc::CallbackServerContext* context,
                                                       const v1::DetokenizeRequest* request,
                                                       v1::DetokenizeResponse* response) {
  return (new UnaryProxy(
              {registry_, *context, kNoSequences,
               RecordOf(entrance_, Method::kDetokenize, *context)},
              [request, response](const WorkerConnection& worker, grpc::ClientContext* upstream,
                                  std::function<void(grpc::Status)> done) {
                worker.inference->async()->Detokenize(upstream, request, response, std::move(done));
              }))
      ->Start();
}

}  // namespace spearfish::server
