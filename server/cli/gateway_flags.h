// The flags of `spearfish up` that are its gateway's.
#ifndef SERVER_CLI_GATEWAY_FLAGS_H_
#define SERVER_CLI_GATEWAY_FLAGS_H_

#include <CLI/App.hpp>
#include <string>
#include <vector>

namespace spearfish::server::cli {

// Those of the port that clients see. Each one given is put into `out` as "--name=value", for the
// gateway to read and to judge. `out` must outlive the parsing.
void AddGatewayFlags(CLI::App& command, std::vector<std::string>& out);

}  // namespace spearfish::server::cli

#endif  // SERVER_CLI_GATEWAY_FLAGS_H_
