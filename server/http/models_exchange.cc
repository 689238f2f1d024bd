#include "server/http/models_exchange.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/http/error_response.h"
#include "server/http/json_fields.h"
#include "server/http/pushback.h"

namespace spearfish::server {
namespace {

Json ModelJson(const v1::GetModelInfoResponse& info, int64_t created) {
  return {{"id", info.served_model_name()},
          {"object", "model"},
          {"created", created},
          {"owned_by", "spearfish"},
          {"max_model_len", info.max_model_len()}};
}

}  // namespace

ModelsExchange::ModelsExchange(LocalServices& services, ModelsQuery query,
                               std::shared_ptr<HttpReply> reply)
    : live_(services), query_(std::move(query)), reply_(std::move(reply)) {}

std::shared_ptr<ModelsExchange> ModelsExchange::Start(LocalServices& services, ModelsQuery query,
                                                      std::shared_ptr<HttpReply> reply) {
  std::shared_ptr<ModelsExchange> exchange(
      new ModelsExchange(services, std::move(query), std::move(reply)));
  Apply(exchange->query_.identity, exchange->context_);
  services.control().async()->GetModelInfo(
      &exchange->context_, &exchange->request_, &exchange->info_, [exchange](grpc::Status status) {
        exchange->reply_->Post([exchange, status] { exchange->Answered(status); });
      });
  return exchange;
}

void ModelsExchange::ClientGone() {
  gone_ = true;
  context_.TryCancel();
}

void ModelsExchange::Answered(const grpc::Status& status) {
  if (gone_) return;
  HttpResponse response = Response(status);
  response.headers.insert(response.headers.end(), query_.headers.begin(), query_.headers.end());
  reply_->Respond(std::move(response));
}

HttpResponse ModelsExchange::Response(const grpc::Status& status) const {
  if (!status.ok()) return ErrorResponse(ErrorOf(status, PushbackOf(context_)));
  const Json model = ModelJson(info_, query_.created);
  if (query_.id.empty()) {
    Json list = {{"object", "list"}};
    list["data"] = Json::array({model});
    return {.body = JsonText(list)};
  }
  if (query_.id == info_.served_model_name()) return {.body = JsonText(model)};
  return ErrorResponse(
      ErrorOf(grpc::Status(grpc::StatusCode::NOT_FOUND,
                           absl::StrCat("unknown model: \"", query_.id, "\"; this server has \"",
                                        info_.served_model_name(), "\""))));
}

}  // namespace spearfish::server
