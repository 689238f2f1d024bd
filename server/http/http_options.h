// Everything that can be set on the HTTP port.
#ifndef SERVER_HTTP_HTTP_OPTIONS_H_
#define SERVER_HTTP_HTTP_OPTIONS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace spearfish::server {

struct HttpOptions {
  std::string listen = {};  // HOST:PORT; port 0 picks a free one; empty: no HTTP
  bool plain_text = false;  // without TLS, also where the gRPC port has it
  uint32_t num_threads = 2;
  uint64_t max_body_bytes = 32 << 20;
  // Of all requests that are being read or served; more are refused.
  uint64_t max_bodies_bytes = uint64_t{1} << 30;
  // More wait to be accepted.
  uint32_t max_connections = 16384;
  absl::Duration header_timeout =
      absl::Seconds(10);                            // from the connection to the first headers' end
  absl::Duration body_timeout = absl::Seconds(60);  // of the whole body
  absl::Duration idle_timeout = absl::Seconds(75);  // between requests of a connection
  absl::Duration write_timeout = absl::Seconds(60);  // until the client has taken one write

  // InvalidArgument naming the flag.
  absl::Status Validate() const;
};

}  // namespace spearfish::server

#endif  // SERVER_HTTP_HTTP_OPTIONS_H_
