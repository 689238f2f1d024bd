// `spearfish bench`: a load test of a gateway or a worker.
#ifndef SERVER_CLI_BENCH_H_
#define SERVER_CLI_BENCH_H_

#include <CLI/App.hpp>
#include <functional>

namespace spearfish::server::cli {

// Adds the subcommand; `run` is set to what main calls when it was chosen.
void AddBench(CLI::App& app, std::function<int()>& run);

}  // namespace spearfish::server::cli

#endif  // SERVER_CLI_BENCH_H_
