// spearfish-gateway: the public gRPC endpoint in front of any number of workers.
#include <CLI/CLI.hpp>
#include <csignal>
#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/log.h"
#include "common/base/version.h"
#include "server/gateway_options.h"
#include "server/gateway_server.h"

namespace spearfish::server {
namespace {

// As written on the command line; Options() gives them their types.
struct Flags {
  GatewayOptions options;
  int64_t poll_interval_ms = 200;
  int64_t drain_grace_s = 30;

  GatewayOptions Options() const {
    GatewayOptions out = options;
    out.poll_interval = absl::Milliseconds(poll_interval_ms);
    out.drain_grace = absl::Seconds(drain_grace_s);
    return out;
  }
};

void AddFlags(CLI::App& app, Flags& flags) {
  app.set_version_flag("--version", kVersion);
  app.add_option("--listen", flags.options.listen,
                 "HOST:PORT or unix:PATH; port 0 picks a free one")
      ->capture_default_str();
  app.add_option("--workers", flags.options.workers,
                 "Worker addresses: HOST:PORT, unix:PATH or dns:///NAME:PORT")
      ->delimiter(',')
      ->required();
  app.add_option("--poll-interval-ms", flags.poll_interval_ms,
                 "How often workers are asked for load")
      ->capture_default_str();
  app.add_option("--drain-grace-s", flags.drain_grace_s,
                 "Seconds that running requests get after SIGTERM")
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
  // The launcher waits for the line that has all workers.
  const auto announce = [&options](const GatewayServer& gateway, size_t num_ready) {
    std::cout << absl::StrCat("spearfish-gateway ready: ", num_ready, " of ",
                              options.workers.size(), " workers at ", gateway.address(), "\n")
              << std::flush;
  };
  auto gateway = GatewayServer::Create(options, announce);
  if (!gateway.ok()) {
    LogError(absl::StrCat("cannot start: ", gateway.status().message()));
    return 1;
  }
  LogInfo(absl::StrCat("listening on ", (*gateway)->address(), ", workers ",
                       absl::StrJoin(options.workers, ", ")));
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
  return spearfish::server::Serve(flags.Options());
}
