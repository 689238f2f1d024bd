// A worker's figures for Prometheus.
#ifndef WORKER_RPC_WORKER_METRICS_H_
#define WORKER_RPC_WORKER_METRICS_H_

#include <vector>

#include "common/metrics/metric.h"
#include "worker/rpc/serving_state.h"

namespace spearfish::worker {

// Any thread. While the model loads there is just spearfish_worker_ready 0.
std::vector<Metric> WorkerMetrics(const ServingState& state);

}  // namespace spearfish::worker

#endif  // WORKER_RPC_WORKER_METRICS_H_
