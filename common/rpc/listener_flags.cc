#include "common/rpc/listener_flags.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <string>

namespace spearfish {
namespace {

void AddTlsFlags(CLI::App& app, ListenerOptions& options) {
  app.add_option("--tls-cert", options.tls_certificate,
                 "PEM file with the server's certificate chain: serve TLS. Read again when it "
                 "changes, as all files of these flags");
  app.add_option("--tls-key", options.tls_key, "PEM file with its private key");
  app.add_option("--tls-client-ca", options.tls_client_authorities,
                 "PEM file with the authorities of clients: ask for their certificates (mTLS)");
  app.add_option("--tls-allowed-clients", options.tls_allowed_clients,
                 "Names (common or alternative) of which a client's certificate must have one")
      ->delimiter(',');
}

void AddSocketMode(CLI::App& app, ListenerOptions& options) {
  app.add_option_function<std::string>(
         "--socket-mode",
         [&options](const std::string& text) {
           const char* const end = text.data() + text.size();
           const auto [rest, error] = std::from_chars(text.data(), end, options.socket_mode, 8);
           if (error != std::errc() || rest != end) {
             throw CLI::ValidationError("--socket-mode", "not an octal mode: " + text);
           }
         },
         "Who may connect to a unix socket, as an octal mode: 0660 lets the group; default: 0600")
      ->type_name("MODE");
}

void AddLimitFlags(CLI::App& app, TransportLimits& limits) {
  app.add_option("--max-message-bytes", limits.max_message_bytes, "Of one request")
      ->transform(CLI::AsSizeValue(false))
      ->capture_default_str();
  app.add_option("--max-metadata-bytes", limits.max_metadata_bytes, "Of one request's metadata")
      ->transform(CLI::AsSizeValue(false))
      ->capture_default_str();
  app.add_option("--max-streams-per-connection", limits.max_streams_per_connection,
                 "Calls at once on a connection; more wait at the client")
      ->capture_default_str();
  app.add_option("--max-connection-age-s", limits.max_connection_age_s,
                 "After so long a connection is asked to end; 0 = never")
      ->capture_default_str();
  app.add_option("--max-connection-age-grace-s", limits.max_connection_age_grace_s,
                 "What its calls then get before they are cut off; 0 = as long as they take")
      ->capture_default_str();
  app.add_option("--keepalive-time-s", limits.keepalive_time_s,
                 "A connection that was silent for so long is pinged")
      ->capture_default_str();
  app.add_option("--keepalive-timeout-s", limits.keepalive_timeout_s,
                 "... and closed when it does not answer within")
      ->capture_default_str();
  app.add_option("--handshake-timeout-s", limits.handshake_timeout_s,
                 "A connection on which TLS and HTTP/2 do not begin within is closed")
      ->capture_default_str();
}

}  // namespace

void AddListenerFlags(CLI::App& app, ListenerOptions& options) {
  AddTlsFlags(app, options);
  AddSocketMode(app, options);
  AddLimitFlags(app, options.limits);
}

void AddTokenFlags(CLI::App& app, ListenerOptions& options) {
  app.add_option("--auth-tokens-file", options.auth_tokens_file,
                 "Accept only calls with a bearer token of this file: NAME TOKEN or TOKEN, one a "
                 "line. Read again when it changes");
  app.add_flag("--insecure-tokens", options.insecure_tokens,
               "Accept tokens without TLS on an address that others reach");
}

}  // namespace spearfish
