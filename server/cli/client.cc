#include "server/cli/client.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

#include <CLI/CLI.hpp>
#include <array>
#include <iostream>
#include <utility>
#include <vector>

#include "common/base/status_macros.h"
#include "common/rpc/listen_address.h"
#include "server/cli/call_token.h"

namespace spearfish::server::cli {
namespace {

constexpr std::array<const char*, 17> kCodeNames = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

bool IsLocal(const std::string& endpoint) {
  const auto address = ParseListenAddress(endpoint);
  return address.ok() && address->IsLocal();
}

absl::Status CheckToken(const ConnectionFlags& flags) {
  if (flags.security.wants_tls() || flags.insecure_tokens || IsLocal(flags.endpoint)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      "--token-file without TLS: everybody on the network could read the token; give --tls or "
      "--tls-ca, or say --insecure-tokens");
}

}  // namespace

void AddConnectionFlags(CLI::App& command, ConnectionFlags& flags) {
  command.add_option("--endpoint", flags.endpoint, "Gateway or worker")->capture_default_str();
  command.add_flag("--tls", flags.security.tls, "Connect by TLS, with this host's authorities");
  command.add_option("--tls-ca", flags.security.files.authorities,
                     "PEM file with the authorities of the server's certificate: connect by TLS");
  command.add_option("--tls-cert", flags.security.files.certificate,
                     "PEM file with the certificate chain to show (mTLS)");
  command.add_option("--tls-key", flags.security.files.key, "PEM file with its private key");
  command.add_option("--tls-server-name", flags.security.server_name,
                     "What the server's certificate must name; default: the host of --endpoint");
  command.add_option("--token-file", flags.token_file,
                     "File with the bearer token to send, written as in --auth-tokens-file");
  command.add_flag("--insecure-tokens", flags.insecure_tokens,
                   "Send the token over a network without TLS");
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> Connect(const ConnectionFlags& flags,
                                                       Connections connections) {
  SF_ASSIGN_OR_RETURN(const std::unique_ptr<ChannelSecurity> security,
                      ChannelSecurity::Create(flags.security));
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, connections == Connections::kApart ? 1 : 0);
  security->Adapt(arguments);
  std::vector<std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface>> interceptors;
  if (!flags.token_file.empty()) {
    SF_RETURN_IF_ERROR(CheckToken(flags));
    SF_ASSIGN_OR_RETURN(std::string token, ReadCallToken("--token-file", flags.token_file));
    interceptors.push_back(std::make_unique<CallTokenFactory>(std::move(token)));
  }
  return grpc::experimental::CreateCustomChannelWithInterceptors(
      flags.endpoint, security->Current().credentials, arguments, std::move(interceptors));
}

int ReportFailure(const absl::Status& status) {
  std::cerr << "error: " << status.message() << "\n";
  return kFailed;
}

int ReportFailure(const std::string& endpoint, const grpc::Status& status) {
  const auto code = static_cast<size_t>(status.error_code());
  std::cerr << "error: " << (code < kCodeNames.size() ? kCodeNames[code] : "UNKNOWN") << ": "
            << status.error_message() << "\n";
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE) {
    std::cerr << "Is a gateway running at " << endpoint
              << "? Start one with `spearfish up --model=CHECKPOINT`.\n";
  }
  if (status.error_code() == grpc::StatusCode::UNAUTHENTICATED) {
    std::cerr << "Give --token-file=FILE with a token of the gateway's --auth-tokens-file.\n";
  }
  return kFailed;
}

}  // namespace spearfish::server::cli
