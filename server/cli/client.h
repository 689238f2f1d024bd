// What the command-line client's subcommands share: a channel and the exit statuses.
#ifndef SERVER_CLI_CLIENT_H_
#define SERVER_CLI_CLIENT_H_

#include <grpcpp/channel.h>
#include <grpcpp/support/status.h>

#include <CLI/App.hpp>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/rpc/channel_security.h"

namespace spearfish::server::cli {

inline constexpr int kGood = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;

inline constexpr char kDefaultEndpoint[] = "127.0.0.1:50051";

struct ConnectionFlags {
  std::string endpoint = kDefaultEndpoint;
  ChannelSecurityOptions security = {};
  std::string token_file = {};
  bool insecure_tokens = false;
};

// --endpoint, --tls... and --token-file. `flags` must outlive the parsing.
void AddConnectionFlags(CLI::App& command, ConnectionFlags& flags);

// Equal channels of a process share one connection, or each has its own.
enum class Connections { kShared, kApart };

// A channel to a gateway or a worker; not waited for. Every call on it carries the token, if there
// is one. InvalidArgument, NotFound or PermissionDenied naming flag, file and remedy.
absl::StatusOr<std::shared_ptr<grpc::Channel>> Connect(
    const ConnectionFlags& flags, Connections connections = Connections::kShared);

// Prints "error: " and the message; returns kFailed.
int ReportFailure(const absl::Status& status);
// Prints "error: CODE: message" with what to do when nobody answers; returns kFailed.
int ReportFailure(const std::string& endpoint, const grpc::Status& status);

}  // namespace spearfish::server::cli

#endif  // SERVER_CLI_CLIENT_H_
