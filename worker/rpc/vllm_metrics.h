// The worker's figures under vLLM's names, for routers, autoscalers and dashboards that read those.
#ifndef WORKER_RPC_VLLM_METRICS_H_
#define WORKER_RPC_VLLM_METRICS_H_

#include <vector>

#include "common/metrics/metric.h"
#include "worker/rpc/loaded_model.h"

namespace spearfish::worker {

// Those whose meaning is the same, with vLLM's labels (model_name, engine) and buckets. A request
// of several sequences counts as that many. Differences: a sequence's queue and prefill times are
// counted when they end, not when it does; a failed one counts as finished_reason error.
void AppendVllmMetrics(const LoadedModel& model, const EngineStats& stats,
                       std::vector<Metric>& metrics);

}  // namespace spearfish::worker

#endif  // WORKER_RPC_VLLM_METRICS_H_
