#include "server/http_flags.h"

namespace spearfish::server {

HttpOptions HttpFlags::Options() const {
  HttpOptions out = options;
  out.header_timeout = absl::Seconds(header_timeout_s);
  out.body_timeout = absl::Seconds(body_timeout_s);
  out.idle_timeout = absl::Seconds(idle_timeout_s);
  out.write_timeout = absl::Seconds(write_timeout_s);
  return out;
}

void AddHttpFlags(CLI::App& app, HttpFlags& flags) {
  app.add_option(
      "--http-listen", flags.options.listen,
      "HOST:PORT of OpenAI-compatible HTTP, over TLS with --tls-cert; port 0 picks a free "
      "one; none: no HTTP");
  app.add_flag("--http-plain-text", flags.options.plain_text,
               "HTTP without TLS in spite of --tls-cert, for a proxy on this host that has it");
  app.add_option("--http-threads", flags.options.num_threads, "Threads that serve HTTP")
      ->capture_default_str();
  app.add_option("--http-max-connections", flags.options.max_connections,
                 "HTTP connections at once; more wait to be accepted")
      ->capture_default_str();
  app.add_option("--http-max-body", flags.options.max_body_bytes, "Bytes of one HTTP body")
      ->transform(CLI::AsSizeValue(false))
      ->capture_default_str();
  app.add_option("--http-max-bodies", flags.options.max_bodies_bytes,
                 "Bytes of the bodies of all HTTP requests at once")
      ->transform(CLI::AsSizeValue(false))
      ->capture_default_str();
  app.add_option("--http-header-timeout-s", flags.header_timeout_s,
                 "From the connection (TLS included) to the end of the first headers")
      ->capture_default_str();
  app.add_option("--http-body-timeout-s", flags.body_timeout_s, "For one whole HTTP body")
      ->capture_default_str();
  app.add_option("--http-idle-timeout-s", flags.idle_timeout_s,
                 "How long an HTTP connection may wait for its next request")
      ->capture_default_str();
  app.add_option("--http-write-timeout-s", flags.write_timeout_s,
                 "How long an HTTP client may take to read what was written")
      ->capture_default_str();
}

}  // namespace spearfish::server
