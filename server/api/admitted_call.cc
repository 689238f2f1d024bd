#include "server/api/admitted_call.h"

#include <grpcpp/security/auth_context.h>

#include <memory>
#include <vector>

#include "absl/strings/match.h"
#include "common/vllm_engine/forwarding.h"

namespace spearfish::server {

std::string ClientOf(const grpc::ServerContextBase& context) {
  // A call that was forwarded within the process counts for who made the original.
  if (const auto caller = vllm_engine::ForwardedCaller(context)) return *caller;
  const std::shared_ptr<const grpc::AuthContext> auth = context.auth_context();
  if (auth != nullptr && auth->IsPeerAuthenticated()) {
    const std::vector<grpc::string_ref> names = auth->GetPeerIdentity();
    if (!names.empty()) return "id:" + std::string(names[0].data(), names[0].size());
  }
  // "ipv4:1.2.3.4:5678": connections of one host count together.
  std::string peer = context.peer();
  if (absl::StartsWith(peer, "ipv4:") || absl::StartsWith(peer, "ipv6:")) {
    peer.resize(peer.rfind(':'));
  }
  return peer;
}

}  // namespace spearfish::server
