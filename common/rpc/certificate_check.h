// Whether PEM text is fit for TLS: found out before gRPC, which says little, gets it.
#ifndef COMMON_RPC_CERTIFICATE_CHECK_H_
#define COMMON_RPC_CERTIFICATE_CHECK_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace spearfish {

// A chain, the leaf first. InvalidArgument: no certificate, or the leaf is not valid at `now`.
absl::Status CheckCertificate(absl::string_view pem, absl::Time now);

// InvalidArgument: no private key, one with a passphrase, or not the one of the chain's leaf.
absl::Status CheckPrivateKey(absl::string_view key_pem, absl::string_view certificate_pem);

// Certificates to trust. InvalidArgument: none, or none that is valid at `now`.
absl::Status CheckAuthorities(absl::string_view pem, absl::Time now);

}  // namespace spearfish

#endif  // COMMON_RPC_CERTIFICATE_CHECK_H_
