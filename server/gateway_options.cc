#include "server/gateway_options.h"

#include "common/base/status_macros.h"

namespace spearfish::server {

absl::Status GatewayOptions::Validate() const {
  if (listen.empty()) {
    return absl::InvalidArgumentError("no address to listen on; give --listen=HOST:PORT");
  }
  if (workers.empty() && workers_file.empty()) {
    return absl::InvalidArgumentError(
        "no workers; give --workers=ADDR[,ADDR] or --workers-file=PATH");
  }
  SF_RETURN_IF_ERROR(WorkerRegistry::Validate(workers));
  if (discovery_interval <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("discovery interval is not positive; give --discovery-s");
  }
  if (!(dispatch.load_factor >= 1)) {
    return absl::InvalidArgumentError("load factor is below 1; give --affinity-load-factor");
  }
  if (dispatch.worker_silence < absl::Seconds(1)) {
    return absl::InvalidArgumentError("worker timeout is below 1 s; give --worker-timeout-s");
  }
  if (drain_settle < absl::ZeroDuration() || drain_settle > drain_grace) {
    return absl::InvalidArgumentError(
        "settle time is negative or above the grace period; give --drain-settle-s within "
        "--drain-grace-s");
  }
  if (poll_interval <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("poll interval is not positive; give --poll-interval-ms");
  }
  return http.Validate();
}

}  // namespace spearfish::server
