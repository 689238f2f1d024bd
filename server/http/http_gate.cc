#include "server/http/http_gate.h"

#include <optional>

#include "common/rpc/caller_identity.h"

namespace spearfish::server {

absl::Status HttpGate::CheckClient(const HttpRequest& head) const {
  if (certificates_ == Certificates::kNone) return absl::OkStatus();
  return gate_->CheckClient({head.certificate_names.begin(), head.certificate_names.end()});
}

absl::StatusOr<std::string> HttpGate::CallerOf(const HttpRequest& head) const {
  if (gate_->tokens() != nullptr) {
    const std::optional<std::string> name = gate_->TokenName(head.authorization);
    if (name.has_value()) return CallerOfToken(*name);
    return absl::UnauthenticatedError(
        "no valid bearer token; send the header Authorization: Bearer TOKEN");
  }
  if (!head.certificate_names.empty()) return CallerOfCertificate(head.certificate_names.front());
  return head.peer;
}

}  // namespace spearfish::server
