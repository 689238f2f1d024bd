#include "common/vllm_engine/vllm_engine_service.h"

#include <utility>

#include "absl/time/clock.h"
#include "common/vllm_engine/generate_reactor.h"
#include "common/vllm_engine/info_conversion.h"
#include "common/vllm_engine/unary_forward.h"

namespace spearfish::vllm_engine {
namespace {

// What health checks of the whole project call ready.
constexpr char kReadyService[] = "spearfish.v1.InferenceService";

grpc::Status Starting() {
  return grpc::Status(grpc::StatusCode::UNAVAILABLE, "server is starting; try again");
}

grpc::ServerUnaryReactor* FailUnary(grpc::CallbackServerContext& context) {
  grpc::ServerUnaryReactor* const reactor = context.DefaultReactor();
  reactor->Finish(Starting());
  return reactor;
}

// Ends a stream before it began.
class FailedStream final : public grpc::ServerWriteReactor<wire::GenerateResponse> {
 public:
  explicit FailedStream(const grpc::Status& status) { Finish(status); }
  void OnDone() override { delete this; }
};

// A question and where its answer goes; shared, since std::function must be copyable.
template <typename Request, typename Response>
struct Exchange {
  Request request;
  Response response;
};

template <typename Request, typename Response>
auto NewExchange() {
  return std::make_shared<Exchange<Request, Response>>();
}

using LoadsExchange = Exchange<v1::GetLoadsRequest, v1::GetLoadsResponse>;

UnaryForward::Question AskForLoads(const Upstream& upstream,
                                   const std::shared_ptr<LoadsExchange>& loads) {
  return [&upstream, loads](grpc::ClientContext* call, UnaryForward::Done done) {
    upstream.control->async()->GetLoads(call, &loads->request, &loads->response, std::move(done));
  };
}

}  // namespace

VllmEngineService::VllmEngineService(CallerOf caller_of) : caller_of_(std::move(caller_of)) {}

void VllmEngineService::Connect(std::shared_ptr<grpc::Channel> channel) {
  upstream_ = std::make_unique<const Upstream>(std::move(channel));
  connected_.store(upstream_.get(), std::memory_order_release);
}

std::string VllmEngineService::Caller(const grpc::ServerContextBase& context) const {
  return caller_of_ ? caller_of_(context) : std::string();
}

absl::Time VllmEngineService::last_received() const {
  const int64_t ns = last_received_ns_;
  return ns == 0 ? absl::InfinitePast() : absl::FromUnixNanos(ns);
}

grpc::ServerWriteReactor<wire::GenerateResponse>* VllmEngineService::Generate(
    grpc::CallbackServerContext* context, const wire::GenerateRequest* request) {
  if (upstream() == nullptr) return new FailedStream(Starting());
  last_received_ns_ = absl::ToUnixNanos(absl::Now());
  return new GenerateReactor(*upstream(), live_, *context, *request, Caller(*context));
}

grpc::ServerUnaryReactor* VllmEngineService::HealthCheck(
    grpc::CallbackServerContext* context, const wire::HealthCheckRequest* /*request*/,
    wire::HealthCheckResponse* response) {
  if (upstream() == nullptr) return FailUnary(*context);
  namespace health = grpc::health::v1;
  const auto check = NewExchange<health::HealthCheckRequest, health::HealthCheckResponse>();
  check->request.set_service(kReadyService);
  const auto ask = [this, check](grpc::ClientContext* call, UnaryForward::Done done) {
    upstream()->health->async()->Check(call, &check->request, &check->response, std::move(done));
  };
  return new UnaryForward(
      *context, Caller(*context), {ask}, [check, response](const grpc::Status& status) {
        const bool healthy =
            status.ok() && check->response.status() == health::HealthCheckResponse::SERVING;
        response->set_healthy(healthy);
        response->set_message(healthy ? "ready" : "not ready: requests are not admitted");
        return grpc::Status::OK;
      });
}

grpc::ServerUnaryReactor* VllmEngineService::Abort(grpc::CallbackServerContext* context,
                                                   const wire::AbortRequest* request,
                                                   wire::AbortResponse* /*response*/) {
  if (upstream() == nullptr) return FailUnary(*context);
  const auto abort = NewExchange<v1::AbortRequest, v1::AbortResponse>();
  *abort->request.mutable_request_ids() = request->request_ids();
  const auto ask = [this, abort](grpc::ClientContext* call, UnaryForward::Done done) {
    upstream()->control->async()->Abort(call, &abort->request, &abort->response, std::move(done));
  };
  return new UnaryForward(*context, Caller(*context), {ask},
                          [](const grpc::Status& status) { return status; });
}

grpc::ServerUnaryReactor* VllmEngineService::GetModelInfo(
    grpc::CallbackServerContext* context, const wire::GetModelInfoRequest* /*request*/,
    wire::GetModelInfoResponse* response) {
  if (upstream() == nullptr) return FailUnary(*context);
  const auto model = NewExchange<v1::GetModelInfoRequest, v1::GetModelInfoResponse>();
  const auto ask = [this, model](grpc::ClientContext* call, UnaryForward::Done done) {
    upstream()->control->async()->GetModelInfo(call, &model->request, &model->response,
                                               std::move(done));
  };
  return new UnaryForward(*context, Caller(*context), {ask},
                          [model, response](const grpc::Status& status) {
                            if (status.ok()) *response = ToModelInfo(model->response);
                            return status;
                          });
}

grpc::ServerUnaryReactor* VllmEngineService::GetServerInfo(
    grpc::CallbackServerContext* context, const wire::GetServerInfoRequest* /*request*/,
    wire::GetServerInfoResponse* response) {
  if (upstream() == nullptr) return FailUnary(*context);
  const auto server = NewExchange<v1::GetServerInfoRequest, v1::GetServerInfoResponse>();
  const auto loads = std::make_shared<LoadsExchange>();
  const auto ask = [this, server](grpc::ClientContext* call, UnaryForward::Done done) {
    upstream()->control->async()->GetServerInfo(call, &server->request, &server->response,
                                                std::move(done));
  };
  return new UnaryForward(*context, Caller(*context), {ask, AskForLoads(*upstream(), loads)},
                          [this, server, loads, response](const grpc::Status& status) {
                            if (status.ok()) {
                              *response =
                                  ToServerInfo(server->response, loads->response, last_received());
                            }
                            return status;
                          });
}

grpc::ServerUnaryReactor* VllmEngineService::GetLoads(grpc::CallbackServerContext* context,
                                                      const wire::GetLoadsRequest* /*request*/,
                                                      wire::GetLoadsResponse* response) {
  if (upstream() == nullptr) return FailUnary(*context);
  const auto loads = std::make_shared<LoadsExchange>();
  return new UnaryForward(*context, Caller(*context), {AskForLoads(*upstream(), loads)},
                          [loads, response](const grpc::Status& status) {
                            if (status.ok()) *response = ToLoads(loads->response, absl::Now());
                            return status;
                          });
}

}  // namespace spearfish::vllm_engine
