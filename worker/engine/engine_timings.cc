#include "worker/engine/engine_timings.h"

namespace spearfish::worker {

void EngineTimings::Admitted(SequenceTimes& times, absl::Time now) {
  if (times.admitted != absl::InfiniteFuture()) return;
  times.admitted = now;
  queue.Observe(times.queued());
}

void EngineTimings::HasToken(SequenceTimes& times, absl::Time now) {
  if (times.has_token()) {
    inter_token.Observe(now - times.last_token);
  } else {
    times.first_token = now;
    prefill.Observe(now - times.admitted);
    if (!times.resumed) first_token.Observe(now - times.submitted);
  }
  times.last_token = now;
}

void EngineTimings::Ended(const SequenceTimes& times, FinishReason reason) {
  finished[static_cast<size_t>(reason)].Add();
  if (reason == FinishReason::kAborted || !times.has_token()) return;
  decode.Observe(times.last_token - times.first_token);
  whole.Observe(times.last_token - times.submitted);
}

}  // namespace spearfish::worker
