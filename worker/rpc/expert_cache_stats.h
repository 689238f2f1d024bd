// What the expert cache and the pool hold and have done, for the wire.
#ifndef WORKER_RPC_EXPERT_CACHE_STATS_H_
#define WORKER_RPC_EXPERT_CACHE_STATS_H_

#include "absl/status/status.h"
#include "spearfish/v1/control.pb.h"
#include "worker/rpc/serving_state.h"

namespace spearfish::worker {

// Unavailable while loading. Reads the mapping's page tables (mapping_memory.h): not for a thread
// that others wait for.
absl::Status FillExpertCacheStats(const ServingState& state, v1::ExpertCacheStats& out);

}  // namespace spearfish::worker

#endif  // WORKER_RPC_EXPERT_CACHE_STATS_H_
