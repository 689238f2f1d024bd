#include "server/gateway_options.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/rpc/listen_address.h"

namespace spearfish::server {

namespace {

// What the gRPC port asks for must not be had without it by another door: HTTP in plain text asks
// for no certificate and hides no token.
absl::Status CheckHttpIsAsSafe(const GatewayOptions& options) {
  if (options.http.listen.empty()) return absl::OkStatus();
  SF_ASSIGN_OR_RETURN(const ListenAddress address, ParseListenAddress(options.http.listen));
  if (options.EncryptsHttp() || address.IsLocal()) return absl::OkStatus();
  if (!options.listener.tls_client_authorities.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--http-listen=", options.http.listen,
        " asks for no client certificate while --tls-client-ca does; leave --http-plain-text out, "
        "or listen on a loopback address, behind a proxy that asks for it"));
  }
  if (!options.listener.auth_tokens_file.empty() && !options.listener.insecure_tokens) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--auth-tokens-file with --http-listen=", options.http.listen,
        " in plain text: everybody on the network could read the tokens; give --tls-cert and "
        "--tls-key without --http-plain-text, listen on a loopback address, behind a proxy with "
        "TLS, or say --insecure-tokens"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status GatewayOptions::Validate() const {
  if (listen.empty()) {
    return absl::InvalidArgumentError("no address to listen on; give --listen=HOST:PORT");
  }
  SF_ASSIGN_OR_RETURN(const ListenAddress address, ParseListenAddress(listen));
  SF_RETURN_IF_ERROR(listener.Validate(address));
  SF_RETURN_IF_ERROR(CheckHttpIsAsSafe(*this));
  SF_RETURN_IF_ERROR(worker_security.files.Validate());
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
