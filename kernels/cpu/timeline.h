// How far a stream has come: the clock that events and waits of the CPU device read.
#ifndef KERNELS_CPU_TIMELINE_H_
#define KERNELS_CPU_TIMELINE_H_

#include <atomic>
#include <cstdint>

#include "common/base/mutex.h"

namespace spearfish::kernels {

// Tasks of a stream are numbered from 1; the timeline holds the number of the last one finished.
// Advance is called by the stream's thread only, the rest by any thread. Numbers only grow.
class Timeline {
 public:
  void Advance(uint64_t sequence);
  bool Reached(uint64_t sequence) const {
    return completed_.load(std::memory_order_acquire) >= sequence;
  }
  // Spins for a few microseconds, then parks.
  void WaitFor(uint64_t sequence) const;

 private:
  std::atomic<uint64_t> completed_{0};
  // Threads about to park or parked. Read by Advance after its store and raised by WaitFor before
  // its last check, both sequentially consistent, so that one of the two sees the other.
  mutable std::atomic<uint32_t> num_waiting_{0};
  mutable Mutex mutex_;
  mutable Condition reached_;
};

}  // namespace spearfish::kernels

#endif  // KERNELS_CPU_TIMELINE_H_
