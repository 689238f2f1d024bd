#include "server/dispatch/dispatch_policy.h"

#include <algorithm>

namespace spearfish::server {

std::optional<size_t> PickLeastLoaded(std::span<const WorkerCandidate> candidates, uint64_t turn) {
  std::optional<size_t> best;
  uint32_t best_load = 0;
  for (size_t step = 0; step < candidates.size(); ++step) {
    const size_t index = (turn + step) % candidates.size();
    const WorkerCandidate& candidate = candidates[index];
    if (!candidate.ready || candidate.excluded) continue;
    const uint32_t load = std::max(candidate.in_flight, candidate.reported);
    if (!best.has_value() || load < best_load) {
      best = index;
      best_load = load;
    }
  }
  return best;
}

}  // namespace spearfish::server
