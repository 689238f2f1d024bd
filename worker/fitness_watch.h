// Tells the serving state whether this worker may admit: host memory and the cache's checksums.
#ifndef WORKER_FITNESS_WATCH_H_
#define WORKER_FITNESS_WATCH_H_

#include <thread>

#include "common/segment/expert_cache_segment.h"
#include "common/segment/memory_watch.h"
#include "worker/rpc/serving_state.h"
#include "worker/worker_options.h"

namespace spearfish::worker {

// Owns two threads: one looks at memory every half second; one, for --verify-cache=background and
// a segment that was found ready, reads the cache once, at the lowest priority. Built and destroyed
// by main; the references must outlive it.
class FitnessWatch {
 public:
  FitnessWatch(const WorkerOptions& options, const ExpertCacheSegment& segment,
               ServingState& state);
  FitnessWatch(const FitnessWatch&) = delete;
  FitnessWatch& operator=(const FitnessWatch&) = delete;

 private:
  MemoryWatch memory_;
  std::jthread verifier_;  // its destructor asks it to stop and waits
};

}  // namespace spearfish::worker

#endif  // WORKER_FITNESS_WATCH_H_
