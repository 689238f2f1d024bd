// Everything that can be set on a gateway.
#ifndef SERVER_GATEWAY_OPTIONS_H_
#define SERVER_GATEWAY_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/rpc/channel_security.h"
#include "common/rpc/listener_options.h"
#include "server/admission/admission_queue.h"
#include "server/dispatch/worker_registry.h"
#include "server/http/http_options.h"

namespace spearfish::server {

struct GatewayOptions {
  std::string listen = "127.0.0.1:50051";  // HOST:PORT or unix:PATH
  ListenerOptions listener = {};
  // HOST:PORT, unix:PATH, or dns:///NAME:PORT for every address that the name has, looked up again
  // and again.
  std::vector<std::string> workers = {};
  // More of them, one a line; '#' begins a comment. Read again when it changes.
  std::string workers_file = {};
  ChannelSecurityOptions worker_security = {};
  absl::Duration discovery_interval = absl::Seconds(5);
  DispatchOptions dispatch = {};
  AdmissionOptions admission = {};
  // Sequences at the workers at once; 0 = as many as the ready ones run, and a few to follow.
  uint64_t max_in_flight = 0;
  absl::Duration poll_interval = absl::Milliseconds(200);
  // After SIGTERM: in all for what runs; of it, how long requests are still admitted while whoever
  // balances load learns that the gateway is not ready.
  absl::Duration drain_grace = absl::Seconds(30);
  absl::Duration drain_settle = absl::ZeroDuration();
  std::optional<uint16_t> metrics_port = std::nullopt;  // on all addresses; 0 picks a free one
  bool log_requests = false;  // one line for each that generates, when it is over
  HttpOptions http = {};

  // HTTP has the TLS of the gRPC port.
  bool EncryptsHttp() const { return !listener.tls_certificate.empty() && !http.plain_text; }

  // InvalidArgument naming the flag.
  absl::Status Validate() const;
};

}  // namespace spearfish::server

#endif  // SERVER_GATEWAY_OPTIONS_H_
