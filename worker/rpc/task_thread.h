// Runs what would hold up a thread of gRPC's: long tokenisations, reads of /proc.
#ifndef WORKER_RPC_TASK_THREAD_H_
#define WORKER_RPC_TASK_THREAD_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "common/base/mutex.h"

namespace spearfish::worker {

// Owns one thread; tasks run on it one at a time in the order they came. Post may be called from
// any thread. Destruction runs what is queued first.
class TaskThread {
 public:
  TaskThread();
  ~TaskThread();
  TaskThread(const TaskThread&) = delete;
  TaskThread& operator=(const TaskThread&) = delete;

  void Post(std::function<void()> task);
  // False, and nothing is queued, when kMostQueued tasks are: for what nobody else bounds.
  static constexpr size_t kMostQueued = 256;
  bool TryPost(std::function<void()> task);

 private:
  void Run();

  Mutex mutex_;
  Condition changed_;  // a task came, or stopping_
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace spearfish::worker

#endif  // WORKER_RPC_TASK_THREAD_H_
