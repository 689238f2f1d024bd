#include "common/rpc/listener.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace spearfish {

absl::StatusOr<std::unique_ptr<Listener>> Listener::Create(const std::string& address,
                                                           const ListenerOptions& options) {
  SF_ASSIGN_OR_RETURN(ListenAddress parsed, ParseListenAddress(address));
  SF_RETURN_IF_ERROR(options.Validate(parsed));
  std::unique_ptr<Listener> listener(new Listener(std::move(parsed), options.limits));
  SF_RETURN_IF_ERROR(listener->Open(options));
  return listener;
}

absl::Status Listener::Open(const ListenerOptions& options) {
  std::unique_ptr<TokenFile> tokens;
  if (!options.auth_tokens_file.empty()) {
    SF_ASSIGN_OR_RETURN(tokens, TokenFile::Open({.path = options.auth_tokens_file}));
  }
  if (!options.tls_certificate.empty()) {
    SF_ASSIGN_OR_RETURN(tls_, OpenTlsFiles(options.Files()));
  }
  gate_ = std::make_shared<CallGate>(std::move(tokens), options.tls_allowed_clients);
  PortSecurity security{.tls = tls_,
                        .requires_client_certificate = !options.tls_client_authorities.empty(),
                        .socket_mode = options.socket_mode,
                        .gate = gate_};
  if (address_.kind == ListenAddress::Kind::kUnix) {
    SF_RETURN_IF_ERROR(RemoveStaleSocket(address_.path));
  }
  credentials_ = std::make_shared<PortCredentials>(address_, std::move(security));
  return absl::OkStatus();
}

void Listener::AddTo(grpc::ServerBuilder& builder) {
  limits_.ApplyTo(builder);
  // Two servers on one port would share its clients without anybody noticing.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddListeningPort(address_.ToString(), credentials_, &bound_port_);
}

absl::StatusOr<std::string> Listener::BoundAddress(bool server_started) const {
  if (server_started && bound_port_ != 0) {
    return address_.ToString(static_cast<uint16_t>(bound_port_));
  }
  return absl::UnavailableError(absl::StrCat("can't listen on ", address_.ToString(),
                                             "; is it in use, and may this user bind it?"));
}

}  // namespace spearfish
