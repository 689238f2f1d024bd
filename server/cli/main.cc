// spearfish: the command-line client and the one-host launcher.
#include <CLI/CLI.hpp>
#include <functional>

#include "common/base/log.h"
#include "common/base/version.h"
#include "server/cli/bench.h"
#include "server/cli/chat.h"
#include "server/cli/client.h"
#include "server/cli/generate.h"
#include "server/cli/status.h"
#include "server/cli/up.h"

int main(int argc, char** argv) {
  spearfish::InitLog("spearfish");
  CLI::App app("Serves Mixture-of-Experts models whose experts do not fit in GPU memory.",
               "spearfish");
  app.set_version_flag("--version", spearfish::kVersion);
  app.require_subcommand(1);
  std::function<int()> run;
  spearfish::server::cli::AddUp(app, run);
  spearfish::server::cli::AddGenerate(app, run);
  spearfish::server::cli::AddChat(app, run);
  spearfish::server::cli::AddStatus(app, run);
  spearfish::server::cli::AddBench(app, run);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? spearfish::server::cli::kGood : spearfish::server::cli::kUsage;
  }
  return run();
}
