#include "worker/rpc/task_thread.h"

#include <utility>

namespace spearfish::worker {

TaskThread::TaskThread() : thread_([this] { Run(); }) {}

TaskThread::~TaskThread() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    changed_.SignalAll();
  }
  thread_.join();
}

void TaskThread::Post(std::function<void()> task) {
  const MutexLock lock(mutex_);
  tasks_.push_back(std::move(task));
  changed_.Signal();
}

bool TaskThread::TryPost(std::function<void()> task) {
  const MutexLock lock(mutex_);
  if (tasks_.size() >= kMostQueued) return false;
  tasks_.push_back(std::move(task));
  changed_.Signal();
  return true;
}

void TaskThread::Run() {
  for (;;) {
    std::function<void()> task;
    {
      const MutexLock lock(mutex_);
      while (!stopping_ && tasks_.empty()) changed_.Wait(mutex_);
      if (tasks_.empty()) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

}  // namespace spearfish::worker
