// What a server takes from one connection and one call, and how it finds dead peers.
#ifndef COMMON_RPC_TRANSPORT_LIMITS_H_
#define COMMON_RPC_TRANSPORT_LIMITS_H_

#include <cstdint>

#include "absl/status/status.h"

namespace grpc {
class ServerBuilder;
}  // namespace grpc

namespace spearfish {

struct TransportLimits {
  // Of one request: a prompt of ten million ids still fits.
  uint64_t max_message_bytes = 64 << 20;
  uint32_t max_metadata_bytes = 16 << 10;
  uint32_t max_streams_per_connection = 32768;
  // A connection is asked to end after so long (0: never), so that clients spread anew over the
  // servers; what runs on it then has the grace (0: as long as it takes).
  uint32_t max_connection_age_s = 0;
  uint32_t max_connection_age_grace_s = 600;
  // A connection that was silent for keepalive_time is pinged, and closed when no answer comes
  // within keepalive_timeout.
  uint32_t keepalive_time_s = 30;
  uint32_t keepalive_timeout_s = 20;
  // For TLS and for HTTP/2 to begin.
  uint32_t handshake_timeout_s = 20;

  // InvalidArgument naming the flag.
  absl::Status Validate() const;

  // Clients may ping every 10 s or slower, also without calls, as routers do; those who ping faster
  // over and over are sent away with ENHANCE_YOUR_CALM.
  void ApplyTo(grpc::ServerBuilder& builder) const;
};

}  // namespace spearfish

#endif  // COMMON_RPC_TRANSPORT_LIMITS_H_
