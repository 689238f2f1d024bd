#include "common/expert_cache/parallel_tasks.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

namespace spearfish {
namespace {

class TaskRun {
 public:
  TaskRun(uint32_t num_tasks, const std::function<absl::Status(uint32_t)>& task)
      : num_tasks_(num_tasks), task_(task) {}

  // On every thread.
  void Run() {
    for (;;) {
      const uint32_t number = next_.fetch_add(1, std::memory_order_relaxed);
      if (number >= num_tasks_ || failed_.load(std::memory_order_relaxed)) return;
      if (absl::Status status = task_(number); !status.ok()) return Fail(status);
    }
  }

  // After every Run has returned.
  const absl::Status& status() const { return status_; }

 private:
  void Fail(const absl::Status& status) {
    failed_.store(true, std::memory_order_relaxed);
    const std::lock_guard lock(mutex_);
    status_.Update(status);
  }

  const uint32_t num_tasks_;
  const std::function<absl::Status(uint32_t)>& task_;
  std::atomic<uint32_t> next_ = 0;
  std::atomic<bool> failed_ = false;
  std::mutex mutex_;
  absl::Status status_;  // guarded by mutex_ until every Run has returned
};

}  // namespace

absl::Status RunTasks(uint32_t num_tasks, uint32_t num_threads,
                      const std::function<absl::Status(uint32_t)>& task) {
  if (num_threads == 0) num_threads = std::max(1u, std::thread::hardware_concurrency());
  TaskRun run(num_tasks, task);
  {
    std::vector<std::jthread> threads;
    for (uint32_t i = 1; i < std::min(num_threads, num_tasks); ++i) {
      threads.emplace_back([&run] { run.Run(); });
    }
    run.Run();
  }
  return run.status();
}

}  // namespace spearfish
