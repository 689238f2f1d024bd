// The flags of the gateway's HTTP port.
#ifndef SERVER_HTTP_FLAGS_H_
#define SERVER_HTTP_FLAGS_H_

#include <CLI/CLI.hpp>
#include <cstdint>

#include "server/http/http_options.h"

namespace spearfish::server {

// As written on the command line; Options() gives them their types.
struct HttpFlags {
  HttpOptions options;
  int64_t header_timeout_s = 10;
  int64_t body_timeout_s = 60;
  int64_t idle_timeout_s = 75;
  int64_t write_timeout_s = 60;

  HttpOptions Options() const;
};

// `flags` must outlive `app`.
void AddHttpFlags(CLI::App& app, HttpFlags& flags);

}  // namespace spearfish::server

#endif  // SERVER_HTTP_FLAGS_H_
