// Who asks, and how the request is traced: headers of the HTTP request as metadata of its calls.
#ifndef SERVER_HTTP_REQUEST_IDENTITY_H_
#define SERVER_HTTP_REQUEST_IDENTITY_H_

#include <grpcpp/client_context.h>

#include <string>

#include "absl/strings/string_view.h"
#include "server/http/http_message.h"

namespace spearfish::server {

struct RequestIdentity {
  std::string caller = {};       // see common/rpc/caller_identity.h
  std::string traceparent = {};  // as in HTTP; empty: not sent
  std::string tracestate = {};
};

// Trace headers that can't be metadata are dropped, as W3C Trace Context asks for.
RequestIdentity IdentityOf(const HttpRequest& request);

// Before the call starts.
void Apply(const RequestIdentity& identity, grpc::ClientContext& context);

// An X-Request-Id that is taken as the request's id: 1 to 128 letters, digits, '-', '_', '.', ':'.
bool IsRequestId(absl::string_view text);

}  // namespace spearfish::server

#endif  // SERVER_HTTP_REQUEST_IDENTITY_H_
