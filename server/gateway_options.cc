#include "server/gateway_options.h"

namespace spearfish::server {

absl::Status GatewayOptions::Validate() const {
  if (listen.empty()) {
    return absl::InvalidArgumentError("no address to listen on; give --listen=HOST:PORT");
  }
  if (workers.empty()) {
    return absl::InvalidArgumentError("no workers; give --workers=ADDR[,ADDR]");
  }
  if (poll_interval <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("poll interval is not positive; give --poll-interval-ms");
  }
  return absl::OkStatus();
}

}  // namespace spearfish::server
