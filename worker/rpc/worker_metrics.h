// A worker's figures for Prometheus.
#ifndef WORKER_RPC_WORKER_METRICS_H_
#define WORKER_RPC_WORKER_METRICS_H_

#include <vector>

#include "common/metrics/metric.h"
#include "worker/rpc/serving_state.h"

namespace spearfish::worker {

// Whose names are given beside our own.
enum class MetricsCompat { kNone, kVllm };

// Any thread. While the model loads there is spearfish_worker_ready 0 and what the kernel says of
// the process.
std::vector<Metric> WorkerMetrics(const ServingState& state,
                                  MetricsCompat compat = MetricsCompat::kNone);

}  // namespace spearfish::worker

#endif  // WORKER_RPC_WORKER_METRICS_H_
