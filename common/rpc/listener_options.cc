#include "common/rpc/listener_options.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace spearfish {

TlsFiles ListenerOptions::Files() const {
  return {.certificate = tls_certificate,
          .key = tls_key,
          .authorities = tls_client_authorities,
          .authorities_flag = "--tls-client-ca"};
}

absl::Status ListenerOptions::Validate(const ListenAddress& address) const {
  SF_RETURN_IF_ERROR(limits.Validate());
  SF_RETURN_IF_ERROR(Files().Validate());
  if (!tls_client_authorities.empty() && tls_certificate.empty()) {
    return absl::InvalidArgumentError(
        "--tls-client-ca without --tls-cert: clients show certificates over TLS only; give "
        "--tls-cert and --tls-key");
  }
  if (!tls_allowed_clients.empty() && tls_client_authorities.empty()) {
    return absl::InvalidArgumentError(
        "--tls-allowed-clients without --tls-client-ca: nobody would verify the names; give "
        "--tls-client-ca");
  }
  if (!auth_tokens_file.empty() && tls_certificate.empty() && !address.IsLocal() &&
      !insecure_tokens) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--auth-tokens-file without TLS on ", address.ToString(),
        ": everybody on the network could read the tokens; give --tls-cert and --tls-key, listen "
        "on a loopback address or a unix socket, or say --insecure-tokens"));
  }
  if (socket_mode > 0777 || (socket_mode & 0600) != 0600) {
    return absl::InvalidArgumentError(
        "--socket-mode is out of range; give an octal mode such as 0660 that lets the owner read "
        "and write");
  }
  return absl::OkStatus();
}

}  // namespace spearfish
