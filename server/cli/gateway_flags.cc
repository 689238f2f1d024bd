#include "server/cli/gateway_flags.h"

#include <CLI/CLI.hpp>
#include <array>

#include "absl/strings/str_cat.h"

namespace spearfish::server::cli {
namespace {

constexpr std::array kWithValue = {"--tls-cert",
                                   "--tls-key",
                                   "--tls-client-ca",
                                   "--tls-allowed-clients",
                                   "--auth-tokens-file",
                                   "--socket-mode",
                                   "--max-message-bytes",
                                   "--max-metadata-bytes",
                                   "--max-streams-per-connection",
                                   "--max-connection-age-s",
                                   "--max-connection-age-grace-s",
                                   "--keepalive-time-s",
                                   "--keepalive-timeout-s",
                                   "--handshake-timeout-s",
                                   "--policy",
                                   "--affinity-load-factor",
                                   "--worker-timeout-s",
                                   "--retry-patience-ms",
                                   "--max-queue",
                                   "--max-queue-bytes",
                                   "--max-per-client",
                                   "--max-priority",
                                   "--queue-timeout-s",
                                   "--max-in-flight",
                                   "--http-threads",
                                   "--http-max-connections",
                                   "--http-max-body",
                                   "--http-max-bodies",
                                   "--http-header-timeout-s",
                                   "--http-body-timeout-s",
                                   "--http-idle-timeout-s",
                                   "--http-write-timeout-s"};
constexpr std::array kWithoutValue = {"--insecure-tokens", "--http-plain-text"};
constexpr char kHelp[] = "Passed on to the gateway, see spearfish-gateway --help";

}  // namespace

void AddGatewayFlags(CLI::App& command, std::vector<std::string>& out) {
  for (const char* const name : kWithValue) {
    command.add_option_function<std::string>(
        name,
        [&out, name](const std::string& value) { out.push_back(absl::StrCat(name, "=", value)); },
        kHelp);
  }
  for (const char* const name : kWithoutValue) {
    command.add_flag_callback(
        name, [&out, name] { out.emplace_back(name); }, kHelp);
  }
}

}  // namespace spearfish::server::cli
