// `spearfish chat`: a conversation on the terminal.
#ifndef SERVER_CLI_CHAT_H_
#define SERVER_CLI_CHAT_H_

#include <CLI/App.hpp>
#include <functional>

namespace spearfish::server::cli {

// Adds the subcommand; `run` is set to what main calls when it was chosen.
void AddChat(CLI::App& app, std::function<int()>& run);

}  // namespace spearfish::server::cli

#endif  // SERVER_CLI_CHAT_H_
