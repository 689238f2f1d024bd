// What can be set on a listening port.
#ifndef COMMON_RPC_LISTENER_OPTIONS_H_
#define COMMON_RPC_LISTENER_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/rpc/listen_address.h"
#include "common/rpc/tls_files.h"
#include "common/rpc/transport_limits.h"

namespace spearfish {

struct ListenerOptions {
  // PEM files. Without them the port speaks plain text.
  std::string tls_certificate = {};
  std::string tls_key = {};
  // Who signs clients' certificates; empty: clients need none.
  std::string tls_client_authorities = {};
  // Names (common or alternative) of which a client's certificate must have one; empty: any.
  std::vector<std::string> tls_allowed_clients = {};
  std::string auth_tokens_file = {};  // empty: no tokens
  bool insecure_tokens = false;       // also in plain text over a network
  uint32_t socket_mode = 0600;        // of a unix socket
  TransportLimits limits = {};

  // InvalidArgument naming the flag. Reads no file.
  absl::Status Validate(const ListenAddress& address) const;
  TlsFiles Files() const;
};

}  // namespace spearfish

#endif  // COMMON_RPC_LISTENER_OPTIONS_H_
