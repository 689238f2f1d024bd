// OpenAI's HTTP API over the gateway's own services: which path is what.
#ifndef SERVER_HTTP_OPENAI_HANDLER_H_
#define SERVER_HTTP_OPENAI_HANDLER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "server/http/http_gate.h"
#include "server/http/http_reply.h"
#include "server/http/local_services.h"
#include "server/http/request_identity.h"

namespace spearfish::server {

// Thread-safe. The services must outlive it and its exchanges.
class OpenAiHandler final : public HttpHandler {
 public:
  OpenAiHandler(LocalServices& services, HttpGate gate)
      : services_(services), gate_(std::move(gate)), created_(absl::ToUnixSeconds(absl::Now())) {}

  // Unknown paths, other methods, bodies that are no JSON, callers that are not let in. /health
  // needs no token, as gRPC's health service needs none.
  std::optional<HttpResponse> Refuse(HttpRequest& head) override;
  std::shared_ptr<HttpExchange> Handle(HttpRequest request,
                                       std::shared_ptr<HttpReply> reply) override;

 private:
  // One request on its way to an exchange.
  struct Job {
    HttpRequest request = {};
    std::shared_ptr<HttpReply> reply = nullptr;
    RequestIdentity identity = {};
    std::string id = {};
    HttpHeaders headers = {};
  };
  using Started = absl::StatusOr<std::shared_ptr<HttpExchange>>;

  Started StartChat(Job& job);
  Started StartCompletion(Job& job);
  Started StartModels(Job& job);
  HttpResponse Health() const;

  LocalServices& services_;
  const HttpGate gate_;
  const int64_t created_;
};

}  // namespace spearfish::server

#endif  // SERVER_HTTP_OPENAI_HANDLER_H_
