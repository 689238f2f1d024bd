// Waits without a thread.
#ifndef SERVER_API_PAUSE_H_
#define SERVER_API_PAUSE_H_

#include <grpcpp/alarm.h>

#include <functional>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"

namespace spearfish::server {

// One wait at a time. Cancel may come from any thread, at any time; the owner lives until the
// callback of its last Start has run.
class Pause {
 public:
  // `then` runs once, on a thread of gRPC's, after the duration or soon after Cancel.
  void Start(absl::Duration duration, std::function<void()> then) {
    auto alarm = std::make_unique<grpc::Alarm>();
    {
      const MutexLock lock(mutex_);
      alarm_.swap(alarm);
      if (cancelled_) duration = absl::ZeroDuration();
      // Within the lock: a Cancel that comes before would be lost.
      alarm_->Set(absl::ToChronoTime(absl::Now() + duration),
                  [this, then = std::move(then)](bool /*expired*/) {
                    { const MutexLock started(mutex_); }  // `then` may end the owner
                    then();
                  });
    }
  }

  void Cancel() {
    const MutexLock lock(mutex_);
    cancelled_ = true;
    if (alarm_ != nullptr) alarm_->Cancel();
  }

 private:
  Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<grpc::Alarm> alarm_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace spearfish::server

#endif  // SERVER_API_PAUSE_H_
