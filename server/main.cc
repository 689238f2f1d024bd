// spearfish-gateway: the public gRPC endpoint in front of any number of workers.
#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <iostream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/file_limit.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/base/version.h"
#include "common/rpc/listener_flags.h"
#include "server/gateway_options.h"
#include "server/gateway_server.h"
#include "server/http_flags.h"

namespace spearfish::server {
namespace {

// As written on the command line; Options() gives them their types.
struct Flags {
  GatewayOptions options;
  HttpFlags http;
  int64_t poll_interval_ms = 200;
  int64_t drain_grace_s = 30;
  int64_t drain_settle_s = 0;
  int64_t queue_timeout_s = 30;
  std::string policy = "least-work";
  int64_t discovery_s = 5;
  int64_t worker_timeout_s = 5;
  int64_t retry_patience_ms = 700;
  LogFormat log_format = LogFormat::kText;

  absl::StatusOr<GatewayOptions> Options() const {
    GatewayOptions out = options;
    out.worker_security.files.authorities_flag = "--worker-tls-ca";
    out.worker_security.files.certificate_flag = "--worker-tls-cert";
    out.worker_security.files.key_flag = "--worker-tls-key";
    SF_ASSIGN_OR_RETURN(out.dispatch.policy, ParseDispatchPolicy(policy));
    out.discovery_interval = absl::Seconds(discovery_s);
    out.dispatch.worker_silence = absl::Seconds(worker_timeout_s);
    out.dispatch.retry.patience = absl::Milliseconds(retry_patience_ms);
    out.poll_interval = absl::Milliseconds(poll_interval_ms);
    out.drain_grace = absl::Seconds(drain_grace_s);
    out.drain_settle = absl::Seconds(drain_settle_s);
    out.admission.longest_wait = absl::Seconds(queue_timeout_s);
    out.http = http.Options();
    return out;
  }
};

void AddDispatchFlags(CLI::App& app, Flags& flags) {
  app.add_option("--policy", flags.policy,
                 "Who gets a request: least-work, power-of-two, prefix-affinity, session-affinity")
      ->capture_default_str();
  app.add_option("--affinity-load-factor", flags.options.dispatch.load_factor,
                 "With affinity: times its share of the load that a worker may get")
      ->capture_default_str();
  app.add_option("--worker-timeout-s", flags.worker_timeout_s,
                 "A worker that is silent for so long is lost; its streams go on elsewhere")
      ->capture_default_str();
  app.add_option("--retry-patience-ms", flags.retry_patience_ms,
                 "How long a request waits for a worker when none is ready")
      ->capture_default_str();
}

void AddAdmissionFlags(CLI::App& app, Flags& flags) {
  app.add_option("--max-queue", flags.options.admission.max_waiting,
                 "Requests that may wait here; more are refused at once")
      ->capture_default_str();
  app.add_option("--max-queue-bytes", flags.options.admission.max_waiting_bytes,
                 "Bytes that they may hold")
      ->transform(CLI::AsSizeValue(false))
      ->capture_default_str();
  app.add_option("--max-per-client", flags.options.admission.max_per_client,
                 "Requests of one client that may wait and run; 0 = no limit")
      ->capture_default_str();
  app.add_option("--max-priority", flags.options.admission.max_priority,
                 "Priority that a client can have at most; a larger one counts as this")
      ->capture_default_str();
  app.add_option("--queue-timeout-s", flags.queue_timeout_s,
                 "A request that would wait longer, or past its deadline, is refused")
      ->capture_default_str();
  app.add_option("--max-in-flight", flags.options.max_in_flight,
                 "Sequences at the workers at once; 0 = what they say they can run")
      ->capture_default_str();
}

void AddWorkerSecurityFlags(CLI::App& app, ChannelSecurityOptions& security) {
  app.add_option("--worker-tls-ca", security.files.authorities,
                 "PEM file with the authorities of workers' certificates: connect to them by TLS");
  app.add_option("--worker-tls-cert", security.files.certificate,
                 "PEM file with the certificate chain that this gateway shows to workers (mTLS)");
  app.add_option("--worker-tls-key", security.files.key, "PEM file with its private key");
  app.add_option("--worker-tls-server-name", security.server_name,
                 "What workers' certificates must name; default: the host in the address");
}

void AddObservationFlags(CLI::App& app, Flags& flags) {
  app.add_option("--metrics-port", flags.options.metrics_port,
                 "Serve Prometheus metrics over HTTP there, on all addresses; 0 picks a free port; "
                 "default: not served");
  app.add_option_function<std::string>(
         "--log-format",
         [&flags](const std::string& name) {
           flags.log_format = name == "json" ? LogFormat::kJson : LogFormat::kText;
         },
         "Log lines for people (text) or one JSON object a line (json); default: text")
      ->check(CLI::IsMember({"text", "json"}));
  app.add_flag("--log-requests", flags.options.log_requests,
               "Log a line for each request that is over: ids, counts and times, never its text");
}

void AddFlags(CLI::App& app, Flags& flags) {
  app.set_version_flag("--version", kVersion);
  app.add_option("--listen", flags.options.listen,
                 "HOST:PORT or unix:PATH; port 0 picks a free one")
      ->capture_default_str();
  AddListenerFlags(app, flags.options.listener);
  AddTokenFlags(app, flags.options.listener);
  app.add_option("--workers", flags.options.workers,
                 "Worker addresses: HOST:PORT, unix:PATH or dns:///NAME:PORT")
      ->delimiter(',');
  app.add_option("--workers-file", flags.options.workers_file,
                 "More of them, one a line; read again when it changes");
  app.add_option("--discovery-s", flags.discovery_s,
                 "How often the workers file and dns:/// names are looked up")
      ->capture_default_str();
  AddWorkerSecurityFlags(app, flags.options.worker_security);
  AddDispatchFlags(app, flags);
  AddAdmissionFlags(app, flags);
  AddObservationFlags(app, flags);
  AddHttpFlags(app, flags.http);
  app.add_option("--poll-interval-ms", flags.poll_interval_ms,
                 "How often workers are asked for load")
      ->capture_default_str();
  app.add_option("--drain-grace-s", flags.drain_grace_s,
                 "Seconds that running requests get after SIGTERM")
      ->capture_default_str();
  app.add_option("--drain-settle-s", flags.drain_settle_s,
                 "Of them, seconds in which it is not ready but still admits")
      ->capture_default_str();
}

// SIGINT and SIGTERM are blocked in every thread, so that sigwait gets them here.
sigset_t BlockStopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

int Serve(const GatewayOptions& options) {
  const sigset_t signals = BlockStopSignals();
  // The launcher waits for the line that has all workers. Nobody may read on after it, and a pipe
  // that is full would stop the thread, so later changes are logged only.
  std::atomic<bool> complete = false;
  const auto announce = [&complete](const GatewayServer& gateway, size_t num_ready) {
    const size_t num_workers = gateway.num_workers();
    const std::string ready = absl::StrCat(num_ready, " of ", num_workers, " workers");
    if (complete) {
      LogInfo(absl::StrCat("ready: ", ready));
      return;
    }
    complete = num_ready == num_workers;
    if (!gateway.http_address().empty()) {
      std::cout << absl::StrCat("spearfish-gateway http: ", gateway.http_address(), "\n");
    }
    std::cout << absl::StrCat("spearfish-gateway ready: ", ready, " at ", gateway.address(), "\n")
              << std::flush;
  };
  auto gateway = GatewayServer::Create(options, announce);
  if (!gateway.ok()) {
    LogError(absl::StrCat("cannot start: ", gateway.status().message()));
    return 1;
  }
  LogInfo(absl::StrCat("listening on ", (*gateway)->address(), ", workers ",
                       absl::StrJoin(options.workers, ", ")));
  if (const auto port = (*gateway)->metrics_port()) {
    LogInfo(absl::StrCat("metrics on port ", *port));
  }
  if (!(*gateway)->http_address().empty()) {
    LogInfo(absl::StrCat("OpenAI-compatible HTTP at ", options.EncryptsHttp() ? "https" : "http",
                         "://", (*gateway)->http_address(), "/v1"));
  }
  int signal = 0;
  sigwait(&signals, &signal);
  LogInfo("stopping: running requests are finished first; a second signal ends them");
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  (*gateway)->Shutdown();
  return 0;
}

}  // namespace
}  // namespace spearfish::server

int main(int argc, char** argv) {
  spearfish::InitLog("gateway");
  spearfish::server::Flags flags;
  CLI::App app("Stateless gRPC gateway: dispatches token requests to Spearfish workers.",
               "spearfish-gateway");
  spearfish::server::AddFlags(app, flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  spearfish::InitLog("gateway", spearfish::LogLevel::kInfo, flags.log_format);
  const auto options = flags.Options();
  if (!options.ok()) {
    spearfish::LogError(options.status().message());
    return 2;
  }
  spearfish::RaiseFileLimit();
  return spearfish::server::Serve(*options);
}
