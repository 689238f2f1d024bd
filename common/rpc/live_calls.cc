#include "common/rpc/live_calls.h"

#include "common/base/countdown.h"

namespace spearfish {

void LiveCalls::Add() {
  const MutexLock lock(mutex_);
  ++num_live_;
}

void LiveCalls::Remove() {
  const MutexLock lock(mutex_);
  if (--num_live_ == 0) none_.SignalAll();  // under the lock: who waits may go at once
}

bool LiveCalls::AwaitNone(absl::Duration timeout) {
  const Countdown countdown(timeout);
  const MutexLock lock(mutex_);
  while (num_live_ > 0) {
    if (countdown.passed()) return false;
    none_.WaitFor(mutex_, countdown.left());
  }
  return true;
}

}  // namespace spearfish
