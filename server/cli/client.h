// What the command-line client's subcommands share: a channel and the exit statuses.
#ifndef SERVER_CLI_CLIENT_H_
#define SERVER_CLI_CLIENT_H_

#include <grpcpp/channel.h>
#include <grpcpp/support/status.h>

#include <memory>
#include <string>

namespace spearfish::server::cli {

inline constexpr int kGood = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;

inline constexpr char kDefaultEndpoint[] = "127.0.0.1:50051";

// A channel to a gateway or a worker; not waited for.
std::shared_ptr<grpc::Channel> Connect(const std::string& endpoint);

// The same over a connection of its own: equal channels would share one.
std::shared_ptr<grpc::Channel> ConnectApart(const std::string& endpoint);

// Prints "error: CODE: message" with what to do when nobody answers; returns kFailed.
int ReportFailure(const std::string& endpoint, const grpc::Status& status);

}  // namespace spearfish::server::cli

#endif  // SERVER_CLI_CLIENT_H_
