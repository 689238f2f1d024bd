// Where the time of sequences and steps goes, and how sequences end.
#ifndef WORKER_ENGINE_ENGINE_TIMINGS_H_
#define WORKER_ENGINE_ENGINE_TIMINGS_H_

#include <array>
#include <cstddef>

#include "absl/time/time.h"
#include "common/metrics/counter.h"
#include "common/metrics/histogram.h"
#include "common/metrics/latency_bounds.h"
#include "worker/engine/request.h"

namespace spearfish::worker {

// Of one sequence. A time that has not come yet is infinite.
struct SequenceTimes {
  absl::Time submitted = absl::InfiniteFuture();
  absl::Time admitted = absl::InfiniteFuture();  // to its first step
  absl::Time first_token = absl::InfiniteFuture();
  absl::Time last_token = absl::InfiniteFuture();
  bool resumed = false;  // its first token came from another worker

  absl::Duration queued() const {
    return admitted == absl::InfiniteFuture() ? absl::ZeroDuration() : admitted - submitted;
  }
  bool has_token() const { return first_token != absl::InfiniteFuture(); }
};

// Counted by the engine thread as things happen, without lock or allocation; read by any thread.
// Of sequences, not of requests, which may have several: all of them come with their request.
struct EngineTimings {
  Histogram queue{kRequestBounds};           // from Submit to the first step
  Histogram prefill{kRequestBounds};         // from there to its first token
  Histogram first_token{kFirstTokenBounds};  // from Submit to it; not of resumed sequences
  Histogram inter_token{kInterTokenBounds};  // between two tokens
  // Of sequences that ended by themselves: from the first token to the last; from Submit to it.
  Histogram decode{kRequestBounds};
  Histogram whole{kRequestBounds};
  Histogram step{kStepBounds};  // one Forward

  std::array<Counter, 3> finished;  // by FinishReason
  Counter failed;                   // sequences of requests that ended with an error
  Counter preemptions;

  const Counter& finished_with(FinishReason reason) const {
    return finished[static_cast<size_t>(reason)];
  }

  // Each notes the time, too. A sequence that was preempted is admitted again: only once counts.
  void Admitted(SequenceTimes& times, absl::Time now);
  void HasToken(SequenceTimes& times, absl::Time now);
  void Ended(const SequenceTimes& times, FinishReason reason);
};

}  // namespace spearfish::worker

#endif  // WORKER_ENGINE_ENGINE_TIMINGS_H_
