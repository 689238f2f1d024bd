#include "common/rpc/live_calls.h"

#include "absl/time/clock.h"

namespace spearfish {

void LiveCalls::Add() {
  const MutexLock lock(mutex_);
  ++num_live_;
}

void LiveCalls::Remove() {
  const MutexLock lock(mutex_);
  if (--num_live_ == 0) none_.SignalAll();  // under the lock: who waits may go at once
}

bool LiveCalls::AwaitNone(absl::Time deadline) {
  const MutexLock lock(mutex_);
  while (num_live_ > 0) {
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) return false;
    none_.WaitFor(mutex_, left);
  }
  return true;
}

}  // namespace spearfish
