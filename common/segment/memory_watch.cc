#include "common/segment/memory_watch.h"

#include <utility>

#include "common/base/countdown.h"

namespace spearfish {

MemoryWatch::MemoryWatch(const Options& options, Reader reader, Listener listener)
    : options_(options), reader_(std::move(reader)), listener_(std::move(listener)) {
  Look();
  thread_ = std::thread([this] { Run(); });
}

MemoryWatch::~MemoryWatch() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  stop_.SignalAll();
  thread_.join();
}

void MemoryWatch::Run() {
  for (;;) {
    {
      const MutexLock lock(mutex_);
      const Countdown next(options_.interval);
      while (!stopping_ && !next.passed()) stop_.WaitFor(mutex_, next.left());
      if (stopping_) return;
    }
    Look();
  }
}

void MemoryWatch::Look() {
  const absl::StatusOr<std::vector<MemoryPool>> pools = reader_();
  if (!pools.ok()) return;
  const MemoryStatus status = CheckFloor(*pools, options_.floor, low_);
  low_ = status.low;
  listener_(status);
}

}  // namespace spearfish
