#include "server/http/http_options.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace spearfish::server {

absl::Status HttpOptions::Validate() const {
  if (listen.empty()) return absl::OkStatus();
  if (num_threads == 0 || num_threads > 64) {
    return absl::InvalidArgumentError("HTTP threads are out of range; give --http-threads=1 to 64");
  }
  if (max_body_bytes == 0 || max_body_bytes > max_bodies_bytes) {
    return absl::InvalidArgumentError(
        "HTTP body limits contradict each other; give --http-max-body within --http-max-bodies");
  }
  if (max_connections == 0) {
    return absl::InvalidArgumentError("no HTTP connection is allowed; give --http-max-connections");
  }
  const std::pair<const char*, absl::Duration> timeouts[] = {
      {"--http-header-timeout-s", header_timeout},
      {"--http-body-timeout-s", body_timeout},
      {"--http-idle-timeout-s", idle_timeout},
      {"--http-write-timeout-s", write_timeout}};
  for (const auto& [flag, timeout] : timeouts) {
    if (timeout < absl::Seconds(1) || timeout > absl::Hours(24)) {
      return absl::InvalidArgumentError(
          absl::StrCat("HTTP timeout is outside of 1 s to a day; give ", flag));
    }
  }
  return absl::OkStatus();
}

}  // namespace spearfish::server
