#include "common/rpc/caller_identity.h"

#include <grpc/grpc_security_constants.h>
#include <grpcpp/security/auth_context.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/rpc/bearer_token.h"
#include "common/rpc/token_file.h"

namespace spearfish {
namespace {

absl::string_view ToView(grpc::string_ref text) { return {text.data(), text.size()}; }

// What metadata can hold.
std::string Printable(absl::string_view text) {
  std::string out(text);
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return out;
}

// Ports of every kind, with or without TLS, put the type of their security into the context.
bool CameThroughAPort(const grpc::ServerContextBase& context) {
  const std::shared_ptr<const grpc::AuthContext> auth = context.auth_context();
  if (auth != nullptr &&
      !auth->FindPropertyValues(GRPC_TRANSPORT_SECURITY_TYPE_PROPERTY_NAME).empty()) {
    return true;
  }
  const std::string peer = context.peer();
  return absl::StartsWith(peer, "ipv4:") || absl::StartsWith(peer, "ipv6:") ||
         absl::StartsWith(peer, "unix:") || absl::StartsWith(peer, "unix-abstract:");
}

std::string NamedByFront(const grpc::ServerContextBase& context) {
  if (!IsInProcess(context)) return "";
  const auto named = context.client_metadata().find(kCallerMetadataKey);
  return named == context.client_metadata().end() ? "" : std::string(ToView(named->second));
}

std::string NamedByToken(const grpc::ServerContextBase& context, const TokenFile* tokens) {
  if (tokens == nullptr) return "";
  const auto header = context.client_metadata().find(kAuthorizationKey);
  if (header == context.client_metadata().end()) return "";
  const std::optional<absl::string_view> token = BearerToken(ToView(header->second));
  if (!token.has_value()) return "";
  const std::optional<std::string> name = tokens->NameOf(*token);
  return name.has_value() ? CallerOfToken(*name) : "";
}

std::string NamedByCertificate(const grpc::ServerContextBase& context) {
  const std::shared_ptr<const grpc::AuthContext> auth = context.auth_context();
  if (auth == nullptr || !auth->IsPeerAuthenticated()) return "";
  const std::vector<grpc::string_ref> names = auth->GetPeerIdentity();
  return names.empty() ? "" : CallerOfCertificate(ToView(names[0]));
}

// "ipv4:1.2.3.4:5678" without the port.
std::string HostOf(const grpc::ServerContextBase& context) {
  std::string peer = context.peer();
  if (absl::StartsWith(peer, "ipv4:") || absl::StartsWith(peer, "ipv6:")) {
    peer.resize(peer.rfind(':'));
  }
  return peer.empty() ? "unknown" : peer;
}

}  // namespace

bool IsInProcess(const grpc::ServerContextBase& context) { return !CameThroughAPort(context); }

std::string CallerOfToken(absl::string_view token_name) {
  return absl::StrCat("token:", token_name);
}

std::string CallerOfCertificate(absl::string_view name) {
  return absl::StrCat("id:", Printable(name));
}

std::string CallerOf(const grpc::ServerContextBase& context, const TokenFile* tokens) {
  std::string caller = NamedByFront(context);
  if (caller.empty()) caller = NamedByToken(context, tokens);
  if (caller.empty()) caller = NamedByCertificate(context);
  return caller.empty() ? HostOf(context) : caller;
}

void CallFor(absl::string_view caller, grpc::ClientContext& context) {
  context.AddMetadata(kCallerMetadataKey, Printable(caller));
}

}  // namespace spearfish
