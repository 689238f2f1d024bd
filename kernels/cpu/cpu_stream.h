// A stream of the CPU device: a thread with a queue of tasks.
#ifndef KERNELS_CPU_CPU_STREAM_H_
#define KERNELS_CPU_CPU_STREAM_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "common/base/mutex.h"
#include "kernels/api/device.h"
#include "kernels/cpu/cpu_graph.h"
#include "kernels/cpu/timeline.h"

namespace spearfish::kernels {

// Owns its thread, which runs tasks first in, first out, spins a few microseconds when the queue
// is empty and then parks. One host thread at a time enqueues. Destruction runs what is queued.
class CpuStream : public Stream {
 public:
  explicit CpuStream(absl::string_view name);
  ~CpuStream() override;
  CpuStream(const CpuStream&) = delete;
  CpuStream& operator=(const CpuStream&) = delete;

  void Copy(void* destination, const void* source, size_t bytes) override;
  void CopyBatch(std::span<const CopyEntry> entries) override;
  void Fill(void* destination, uint8_t value, size_t bytes) override;
  void Record(Event& event) override;
  void Wait(const Event& event) override;
  void Synchronize() override;
  void BeginCapture() override;
  std::unique_ptr<Graph> EndCapture() override;
  void Launch(const Graph& graph) override;

  // Runs `task` on the stream's thread after all that was enqueued before; while capturing,
  // records it instead.
  void Enqueue(CpuTask task);

 private:
  void Run();
  // Moves the queue into `batch`; false when the stream ends and the queue is empty.
  bool Take(std::vector<CpuTask>& batch);

  // Shared with the events that were recorded here: they may outlive the stream.
  const std::shared_ptr<Timeline> timeline_ = std::make_shared<Timeline>();

  // Touched by the enqueuing host thread only.
  uint64_t num_enqueued_ = 0;
  bool capturing_ = false;
  std::vector<CpuTask> captured_;

  Mutex mutex_;
  Condition not_empty_;
  std::vector<CpuTask> queue_ ABSL_GUARDED_BY(mutex_);
  bool parked_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::atomic<bool> has_work_{false};  // hint for the spinning thread: queue or stop is set

  std::thread thread_;  // last: starts when the rest is there
};

}  // namespace spearfish::kernels

#endif  // KERNELS_CPU_CPU_STREAM_H_
