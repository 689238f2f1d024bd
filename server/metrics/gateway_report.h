// The gateway's figures for Prometheus.
#ifndef SERVER_METRICS_GATEWAY_REPORT_H_
#define SERVER_METRICS_GATEWAY_REPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/metrics/metric.h"
#include "server/metrics/gateway_metrics.h"
#include "spearfish/v1/control.pb.h"

namespace spearfish::server {

enum class BreakerState : uint8_t { kClosed, kOpen, kHalfOpen };

// As the gateway knows a worker now.
struct WorkerFigures {
  v1::WorkerLoad load;  // as last reported, with address and in_flight
  BreakerState breaker = BreakerState::kClosed;
};

// What stands rather than happens.
struct GatewayFigures {
  std::vector<WorkerFigures> workers;
  uint64_t queue_length = 0;       // requests that wait to be admitted
  uint64_t running_sequences = 0;  // of those that are
  bool ready = false;
};

std::vector<Metric> GatewayReport(const GatewayMetrics& counted, const GatewayFigures& now);

}  // namespace spearfish::server

#endif  // SERVER_METRICS_GATEWAY_REPORT_H_
