// GET /v1/models and /v1/models/{id}.
#ifndef SERVER_HTTP_MODELS_EXCHANGE_H_
#define SERVER_HTTP_MODELS_EXCHANGE_H_

#include <grpcpp/client_context.h>

#include <cstdint>
#include <memory>
#include <string>

#include "server/http/http_reply.h"
#include "server/http/local_services.h"
#include "server/http/request_identity.h"
#include "spearfish/v1/control.pb.h"

namespace spearfish::server {

struct ModelsQuery {
  std::string id = {};  // empty: all, which is the one that is served
  int64_t created = 0;  // Unix seconds, since when it is served
  RequestIdentity identity = {};
  HttpHeaders headers = {};  // of the answer
};

// Asks a worker. Shared between the connection and the call.
class ModelsExchange final : public HttpExchange,
                             public std::enable_shared_from_this<ModelsExchange> {
 public:
  static std::shared_ptr<ModelsExchange> Start(LocalServices& services, ModelsQuery query,
                                               std::shared_ptr<HttpReply> reply);
  void ClientGone() override;

 private:
  ModelsExchange(LocalServices& services, ModelsQuery query, std::shared_ptr<HttpReply> reply);
  void Answered(const grpc::Status& status);
  HttpResponse Response(const grpc::Status& status) const;

  LocalServices::LiveCall live_;
  const ModelsQuery query_;
  const std::shared_ptr<HttpReply> reply_;
  bool gone_ = false;
  grpc::ClientContext context_;
  const v1::GetModelInfoRequest request_;
  v1::GetModelInfoResponse info_;
};

}  // namespace spearfish::server

#endif  // SERVER_HTTP_MODELS_EXCHANGE_H_
