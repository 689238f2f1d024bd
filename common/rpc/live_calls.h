// How many calls run, and waiting for the last of them.
#ifndef COMMON_RPC_LIVE_CALLS_H_
#define COMMON_RPC_LIVE_CALLS_H_

#include <cstddef>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"

namespace spearfish {

// Thread-safe. Must outlive the calls.
class LiveCalls {
 public:
  // Counts a call for as long as it lives.
  class Call {
   public:
    explicit Call(LiveCalls& calls) : calls_(calls) { calls_.Add(); }
    ~Call() { calls_.Remove(); }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

   private:
    LiveCalls& calls_;
  };

  // False when the time has passed before the last call has ended.
  bool AwaitNone(absl::Duration timeout);

 private:
  void Add();
  void Remove();

  Mutex mutex_;
  Condition none_;
  size_t num_live_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace spearfish

#endif  // COMMON_RPC_LIVE_CALLS_H_
