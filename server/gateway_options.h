// Everything that can be set on a gateway.
#ifndef SERVER_GATEWAY_OPTIONS_H_
#define SERVER_GATEWAY_OPTIONS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace spearfish::server {

struct GatewayOptions {
  std::string listen = "127.0.0.1:50051";  // HOST:PORT or unix:PATH
  std::vector<std::string> workers;
  absl::Duration poll_interval = absl::Milliseconds(200);
  absl::Duration drain_grace = absl::Seconds(30);  // for running requests after SIGTERM

  // InvalidArgument naming the flag.
  absl::Status Validate() const;
};

}  // namespace spearfish::server

#endif  // SERVER_GATEWAY_OPTIONS_H_
