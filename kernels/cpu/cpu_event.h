// Events of the CPU device.
#ifndef KERNELS_CPU_CPU_EVENT_H_
#define KERNELS_CPU_CPU_EVENT_H_

#include <cstdint>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "common/base/mutex.h"
#include "kernels/api/device.h"
#include "kernels/cpu/timeline.h"

namespace spearfish::kernels {

// A place on a stream's timeline. The timeline is shared because an event may outlive the stream
// that recorded it.
struct EventPoint {
  std::shared_ptr<const Timeline> timeline;  // null: nothing was recorded
  uint64_t sequence = 0;

  bool Done() const { return timeline == nullptr || timeline->Reached(sequence); }
  void Wait() const {
    if (timeline != nullptr) timeline->WaitFor(sequence);
  }
};

// Holds the last recorded point; a new Record replaces it, while waits already enqueued keep the
// one they saw. Thread-safe.
class CpuEvent : public Event {
 public:
  bool Done() const override { return point().Done(); }
  void Synchronize() const override { point().Wait(); }

  void Set(EventPoint point) {
    MutexLock lock(mutex_);
    point_ = std::move(point);
  }
  EventPoint point() const {
    MutexLock lock(mutex_);
    return point_;
  }

 private:
  mutable Mutex mutex_;
  EventPoint point_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace spearfish::kernels

#endif  // KERNELS_CPU_CPU_EVENT_H_
