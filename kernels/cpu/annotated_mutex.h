// std::mutex with clang's thread-safety annotations. ThreadSanitizer sees the orders that a
// std::mutex makes, but not those of the prebuilt absl::Mutex; and the CPU device exists to show
// ordering bugs under ThreadSanitizer.
#ifndef KERNELS_CPU_ANNOTATED_MUTEX_H_
#define KERNELS_CPU_ANNOTATED_MUTEX_H_

#include <condition_variable>
#include <mutex>

#include "absl/base/thread_annotations.h"

namespace spearfish::kernels {

class ABSL_LOCKABLE AnnotatedMutex {
 public:
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

 private:
  friend class AnnotatedCondition;
  std::mutex mutex_;
};

class ABSL_SCOPED_LOCKABLE AnnotatedLock {
 public:
  explicit AnnotatedLock(AnnotatedMutex& mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex)
      : mutex_(mutex) {
    mutex_.Lock();
  }
  ~AnnotatedLock() ABSL_UNLOCK_FUNCTION() { mutex_.Unlock(); }
  AnnotatedLock(const AnnotatedLock&) = delete;
  AnnotatedLock& operator=(const AnnotatedLock&) = delete;

 private:
  AnnotatedMutex& mutex_;
};

class AnnotatedCondition {
 public:
  // May return without a signal, as std::condition_variable does: call it in a loop.
  void Wait(AnnotatedMutex& mutex) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    condition_.wait(lock);
    static_cast<void>(lock.release());
  }
  void Signal() { condition_.notify_one(); }
  void SignalAll() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace spearfish::kernels

#endif  // KERNELS_CPU_ANNOTATED_MUTEX_H_
