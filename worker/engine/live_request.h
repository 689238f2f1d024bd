// A request between Submit and its last event, as the engine thread keeps it.
#ifndef WORKER_ENGINE_LIVE_REQUEST_H_
#define WORKER_ENGINE_LIVE_REQUEST_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "worker/engine/prepared_request.h"
#include "worker/engine/request.h"
#include "worker/engine/sequence.h"

namespace spearfish::worker {

// The first sequence computes the prompt and, where asked for, its log-probabilities; the others
// join the queue when that is done, so that PromptDone is the first event.
struct LiveRequest {
  std::unique_ptr<const PreparedRequest> prepared;
  EventSink sink;
  uint64_t arrival = 0;  // number of the request; its place among equals in priority

  bool prompt_done = false;
  std::vector<PositionLogprobs> prompt_logprobs;     // of positions 1.. so far
  std::vector<std::unique_ptr<Sequence>> sequences;  // by index; null when finished
  uint32_t num_unfinished = 0;
};

// Larger priority first, then in order of arrival.
struct ComesBefore {
  bool operator()(const Sequence* a, const Sequence* b) const {
    const LiveRequest& left = a->owner();
    const LiveRequest& right = b->owner();
    const int32_t left_priority = left.prepared->request().priority;
    const int32_t right_priority = right.prepared->request().priority;
    if (left_priority != right_priority) return left_priority > right_priority;
    if (left.arrival != right.arrival) return left.arrival < right.arrival;
    return a->index() < b->index();
  }
};

}  // namespace spearfish::worker

#endif  // WORKER_ENGINE_LIVE_REQUEST_H_
