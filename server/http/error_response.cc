#include "server/http/error_response.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/http/json_fields.h"

namespace spearfish::server {
namespace {

int HttpStatusOf(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::OUT_OF_RANGE:
    case grpc::StatusCode::FAILED_PRECONDITION:
      return 400;
    case grpc::StatusCode::UNAUTHENTICATED:
      return 401;
    case grpc::StatusCode::PERMISSION_DENIED:
      return 403;
    case grpc::StatusCode::NOT_FOUND:
      return 404;
    case grpc::StatusCode::ALREADY_EXISTS:
    case grpc::StatusCode::ABORTED:  // by its id, while it waited
      return 409;
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return 429;
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::CANCELLED:  // not by the client, who is there: the gateway is stopping
      return 503;
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return 504;
    default:
      return 500;
  }
}

std::string TypeOf(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 429:
      return "rate_limit_error";
    default:
      return status >= 500 ? "server_error" : "invalid_request_error";
  }
}

std::string CodeOf(int status) {
  switch (status) {
    case 401:
      return "invalid_api_key";
    case 429:
      return "rate_limit_exceeded";
    case 503:
      return "service_unavailable";
    case 504:
      return "timeout";
    default:
      return "";
  }
}

// Workers say "invalid request: sampling.temperature 200 is outside [0, 100]"; the HTTP client
// knows that field as `temperature`.
std::string ParamIn(absl::string_view message) {
  constexpr absl::string_view kBegin = "invalid request: ";
  constexpr std::pair<absl::string_view, absl::string_view> kOtherNames[] = {
      {"num_sequences", "n"},  {"stop_strings", "stop"}, {"text", "prompt"},
      {"token_ids", "prompt"}, {"chat", "messages"},
  };
  if (!absl::StartsWith(message, kBegin)) return "";
  message.remove_prefix(kBegin.size());
  absl::string_view field = message.substr(0, message.find(' '));
  for (const absl::string_view group : {"sampling.", "stopping.", "output.", "chat."}) {
    if (absl::StartsWith(field, group)) field.remove_prefix(group.size());
  }
  field = field.substr(0, field.find_first_of(".["));
  for (const auto& [ours, theirs] : kOtherNames) {
    if (field == ours) return std::string(theirs);
  }
  return std::string(field);
}

}  // namespace

HttpError ErrorOf(int http_status, std::string message) {
  return {.status = http_status,
          .message = std::move(message),
          .type = TypeOf(http_status),
          .code = CodeOf(http_status)};
}

HttpError ErrorOf(const grpc::Status& status, absl::Duration retry_after) {
  HttpError error = ErrorOf(HttpStatusOf(status.error_code()), status.error_message());
  error.param = ParamIn(error.message);
  error.retry_after = retry_after;
  if (absl::StartsWith(error.message, "unknown model")) {
    error.param = "model";
    error.code = "model_not_found";
  }
  return error;
}

HttpError ErrorOf(const absl::Status& status) {
  HttpError error = ErrorOf(HttpStatusOf(static_cast<grpc::StatusCode>(status.code())),
                            std::string(status.message()));
  error.param = ParamOf(status);
  return error;
}

std::string ErrorBody(const HttpError& error) {
  Json inner = {{"message", error.message}, {"type", error.type}};
  inner["param"] = error.param.empty() ? Json(nullptr) : Json(error.param);
  inner["code"] = error.code.empty() ? Json(nullptr) : Json(error.code);
  Json body = Json::object();
  body["error"] = std::move(inner);
  return JsonText(body);
}

HttpResponse ErrorResponse(const HttpError& error) {
  HttpResponse response{.status = error.status, .body = ErrorBody(error)};
  if (error.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  if (error.retry_after > absl::ZeroDuration()) {
    const int64_t ms = absl::ToInt64Milliseconds(error.retry_after);
    // Whole seconds is all that HTTP has; OpenAI's clients read the finer one first.
    response.headers.emplace_back("Retry-After",
                                  absl::StrCat(std::max<int64_t>(1, (ms + 999) / 1000)));
    response.headers.emplace_back("Retry-After-Ms", absl::StrCat(ms));
  }
  return response;
}

}  // namespace spearfish::server
