// std::mutex and std::condition_variable with clang's thread-safety annotations. Used instead of
// absl::Mutex: Debian's Abseil is built without ThreadSanitizer, which then can't see the orders
// that absl::Mutex makes and reports races that are none.
#ifndef COMMON_BASE_MUTEX_H_
#define COMMON_BASE_MUTEX_H_

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "absl/base/config.h"
#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"

namespace spearfish {

class ABSL_LOCKABLE Mutex {
 public:
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

 private:
  friend class Condition;
  std::mutex mutex_;
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(mutex) {
    mutex_.Lock();
  }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

class Condition {
 public:
  // May return without a signal, as std::condition_variable does: call it in a loop.
  void Wait(Mutex& mutex) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    condition_.wait(lock);
    static_cast<void>(lock.release());
  }
  // False when the time has passed.
  bool WaitFor(Mutex& mutex, absl::Duration timeout) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    const absl::Duration bounded = std::clamp(timeout, absl::ZeroDuration(), kLongestWait);
    const auto deadline = Clock::now() + absl::ToChronoNanoseconds(bounded);
    const bool signalled = condition_.wait_until(lock, deadline) == std::cv_status::no_timeout;
    static_cast<void>(lock.release());
    return signalled || timeout > bounded;
  }
  void Signal() { condition_.notify_one(); }
  void SignalAll() { condition_.notify_all(); }

 private:
#ifdef ABSL_HAVE_THREAD_SANITIZER
  using Clock = std::chrono::system_clock;  // clang 14's knows no pthread_cond_clockwait
#else
  using Clock = std::chrono::steady_clock;
#endif
  // An infinite wait is cut into these, so that no time point overflows.
  static constexpr absl::Duration kLongestWait = absl::Hours(1);

  std::condition_variable condition_;
};

}  // namespace spearfish

#endif  // COMMON_BASE_MUTEX_H_
