// Who may ask over HTTP, and as whom admission counts it: calls in process pass no port that would
// look.
#ifndef SERVER_HTTP_HTTP_GATE_H_
#define SERVER_HTTP_HTTP_GATE_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "common/rpc/call_gate.h"
#include "server/http/http_message.h"

namespace spearfish::server {

// Thread-safe. What the gRPC port asks for, asked of HTTP requests.
class HttpGate {
 public:
  // kNone: a port in plain text, where nobody can show one.
  enum class Certificates { kNone, kVerified };
  // Shares the gRPC port's gate.
  HttpGate(std::shared_ptr<CallGate> gate, Certificates certificates)
      : gate_(std::move(gate)), certificates_(certificates) {}

  // Of every request, /health too: PermissionDenied when the certificate has no allowed name.
  absl::Status CheckClient(const HttpRequest& head) const;

  // The token's name, else the certificate's, else the host, as common/rpc/caller_identity.h writes
  // them. Unauthenticated when a token is asked for and there is no good one.
  absl::StatusOr<std::string> CallerOf(const HttpRequest& head) const;

 private:
  const std::shared_ptr<CallGate> gate_;
  const Certificates certificates_;
};

}  // namespace spearfish::server

#endif  // SERVER_HTTP_HTTP_GATE_H_
