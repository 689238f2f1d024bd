// Where a server listens: "unix:PATH" or "HOST:PORT" ("[::1]:0").
#ifndef COMMON_RPC_LISTEN_ADDRESS_H_
#define COMMON_RPC_LISTEN_ADDRESS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spearfish {

struct ListenAddress {
  enum class Kind { kUnix, kTcp };
  Kind kind = Kind::kTcp;
  std::string path;  // of the socket
  std::string host;  // brackets of an IPv6 address included
  uint16_t port = 0;

  // As gRPC and other processes take it, with `bound_port` for a port that was 0.
  std::string ToString(uint16_t bound_port) const;
  std::string ToString() const { return ToString(port); }

  // Reached from this host only: a unix socket, 127.0.0.0/8, ::1 or localhost.
  bool IsLocal() const;
};

// InvalidArgument names what is wrong: no port, a port past 65535, an empty path, one longer than
// a socket address holds.
absl::StatusOr<ListenAddress> ParseListenAddress(absl::string_view text);

// Removes a socket that nobody listens on any more (its server crashed). AlreadyExists when
// somebody does, or when the path is something else than a socket: gRPC itself would remove a
// living server's socket without a word.
absl::Status RemoveStaleSocket(const std::string& path);

}  // namespace spearfish

#endif  // COMMON_RPC_LISTEN_ADDRESS_H_
