// Failures as OpenAI's error bodies.
#ifndef SERVER_HTTP_ERROR_RESPONSE_H_
#define SERVER_HTTP_ERROR_RESPONSE_H_

#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/http/http_message.h"

namespace spearfish::server {

struct HttpError {
  int status = 500;
  std::string message = {};
  std::string type = {};
  std::string param = {};                             // the field to blame; empty: null
  std::string code = {};                              // empty: null
  absl::Duration retry_after = absl::ZeroDuration();  // zero: not told
};

// Of a call to the gateway's own services: INVALID_ARGUMENT 400, UNAUTHENTICATED 401,
// PERMISSION_DENIED 403, NOT_FOUND 404, ALREADY_EXISTS 409, RESOURCE_EXHAUSTED 429, UNAVAILABLE
// 503, DEADLINE_EXCEEDED 504, else 500. A field that the message names is `param`, as the HTTP
// client knows it.
HttpError ErrorOf(const grpc::Status& status, absl::Duration retry_after = absl::ZeroDuration());
// Of a request that was refused before it became a call.
HttpError ErrorOf(const absl::Status& status);
// Of HTTP itself: 404, 405, 413, ...
HttpError ErrorOf(int http_status, std::string message);

// {"error": {"message", "type", "param", "code"}}.
std::string ErrorBody(const HttpError& error);
// With Retry-After where it is told, WWW-Authenticate with 401.
HttpResponse ErrorResponse(const HttpError& error);

}  // namespace spearfish::server

#endif  // SERVER_HTTP_ERROR_RESPONSE_H_
