// `spearfish status`: what is loaded and how it runs.
#ifndef SERVER_CLI_STATUS_H_
#define SERVER_CLI_STATUS_H_

#include <CLI/App.hpp>
#include <functional>

namespace spearfish::server::cli {

// Adds the subcommand; `run` is set to what main calls when it was chosen.
void AddStatus(CLI::App& app, std::function<int()>& run);

}  // namespace spearfish::server::cli

#endif  // SERVER_CLI_STATUS_H_
