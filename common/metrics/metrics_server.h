// Metrics over HTTP for Prometheus, at /metrics.
#ifndef COMMON_METRICS_METRICS_SERVER_H_
#define COMMON_METRICS_METRICS_SERVER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/metrics/metric.h"

namespace spearfish {

// Owns the HTTP server and its threads. Nothing is counted here: every scrape calls `collect`, on a
// thread of the server, so what `collect` uses must be safe from any thread and outlive this.
class MetricsServer {
 public:
  using Collect = std::function<std::vector<Metric>()>;

  // Listens on HOST:PORT; port 0 picks a free one. Unavailable when that cannot be had.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(const std::string& listen,
                                                              Collect collect);
  ~MetricsServer();  // waits for scrapes that run

  uint16_t port() const;

 private:
  struct Parts;
  explicit MetricsServer(std::unique_ptr<Parts> parts);
  const std::unique_ptr<Parts> parts_;
};

}  // namespace spearfish

#endif  // COMMON_METRICS_METRICS_SERVER_H_
