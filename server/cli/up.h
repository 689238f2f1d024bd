// `spearfish up`: workers and a gateway on this host.
#ifndef SERVER_CLI_UP_H_
#define SERVER_CLI_UP_H_

#include <CLI/App.hpp>
#include <functional>

namespace spearfish::server::cli {

// Adds the subcommand; `run` is set to what main calls when it was chosen.
void AddUp(CLI::App& app, std::function<int()>& run);

}  // namespace spearfish::server::cli

#endif  // SERVER_CLI_UP_H_
