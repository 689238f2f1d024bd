// A fixed set of threads that run one parallel loop at a time.
#ifndef KERNELS_CPU_THREAD_POOL_H_
#define KERNELS_CPU_THREAD_POOL_H_

#include <atomic>
#include <cstdint>
#include <optional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "common/base/mutex.h"

namespace spearfish::kernels {

// Owns num_threads - 1 threads; the caller of ParallelFor is the other one. Thread-safe: loops of
// concurrent callers run one after the other. Idle threads spin for some ten microseconds, then
// park. Destroyed only when no ParallelFor is running.
//
// Invariant: the loop's description (body_, num_items_) is written only while the loop is closed
// and no thread is inside it, so a thread that wakes late can never run a stale body.
class ThreadPool {
 public:
  // `item` in [0, num_items), each exactly once; `thread` in [0, num_threads), no two at the same
  // time in one loop.
  using Body = absl::FunctionRef<void(uint32_t item, uint32_t thread)>;

  // num_threads 0 counts as 1.
  explicit ThreadPool(uint32_t num_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  uint32_t num_threads() const { return num_threads_; }

  // Returns when every item has run; what the items wrote is visible to the caller. Items are
  // claimed in ascending order. Runs inline when there is one item or one thread, or when called
  // from a body of this pool.
  void ParallelFor(uint32_t num_items, Body body) ABSL_LOCKS_EXCLUDED(run_mutex_, park_mutex_);

 private:
  void WorkerLoop(uint32_t thread);
  // Waits for a loop other than `last_epoch`; returns its state, or nothing when stopping.
  std::optional<uint64_t> AwaitLoop(uint64_t last_epoch) ABSL_LOCKS_EXCLUDED(park_mutex_);
  bool TryEnter(uint64_t state);  // false when the loop has closed
  void Leave() ABSL_LOCKS_EXCLUDED(park_mutex_);
  void Open(uint32_t num_items, const Body& body) ABSL_LOCKS_EXCLUDED(park_mutex_);
  void CloseAndDrain() ABSL_LOCKS_EXCLUDED(park_mutex_);
  void RunItems(uint32_t thread);

  const uint32_t num_threads_;
  Mutex run_mutex_;  // held for the length of a loop

  // epoch << 32 | open << 31 | number of pool threads inside the loop.
  alignas(64) std::atomic<uint64_t> state_{0};
  const Body* body_ = nullptr;
  uint32_t num_items_ = 0;
  alignas(64) std::atomic<uint32_t> next_item_{0};

  alignas(64) Mutex park_mutex_;
  Condition wake_;     // a loop opened, or the pool stops
  Condition drained_;  // the last thread left a closed loop
  uint32_t num_parked_ ABSL_GUARDED_BY(park_mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(park_mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace spearfish::kernels

#endif  // KERNELS_CPU_THREAD_POOL_H_
