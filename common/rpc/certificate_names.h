// The names that a certificate gives its holder.
#ifndef COMMON_RPC_CERTIFICATE_NAMES_H_
#define COMMON_RPC_CERTIFICATE_NAMES_H_

#include <openssl/types.h>

#include <string>
#include <vector>

namespace spearfish {

// Alternative names (DNS names, e-mail addresses, URIs, IP addresses as text) in their order, then
// the common name: those that gRPC gives a port, so that a client is the same to every port. The
// first is the holder's identity. Says nothing about whether the certificate can be trusted.
std::vector<std::string> NamesOf(const X509& certificate);

}  // namespace spearfish

#endif  // COMMON_RPC_CERTIFICATE_NAMES_H_
