#include "kernels/cpu/cpu_stream.h"

#include <pthread.h>

#include <cstring>
#include <utility>

#include "common/base/check.h"
#include "kernels/cpu/cpu_event.h"
#include "kernels/cpu/spin_briefly.h"

namespace spearfish::kernels {

CpuStream::CpuStream(absl::string_view name) : thread_([this] { Run(); }) {
  // The kernel takes 15 characters.
  pthread_setname_np(thread_.native_handle(), std::string(name.substr(0, 15)).c_str());
}

CpuStream::~CpuStream() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    has_work_.store(true, std::memory_order_release);
    not_empty_.Signal();
  }
  thread_.join();
}

void CpuStream::Enqueue(CpuTask task) {
  if (capturing_) {
    captured_.push_back(std::move(task));
    return;
  }
  ++num_enqueued_;
  MutexLock lock(mutex_);
  queue_.push_back(std::move(task));
  has_work_.store(true, std::memory_order_release);
  if (parked_) not_empty_.Signal();
}

void CpuStream::Run() {
  std::vector<CpuTask> batch;
  uint64_t sequence = 0;
  while (Take(batch)) {
    for (const CpuTask& task : batch) {
      task();
      timeline_->Advance(++sequence);
    }
    batch.clear();
  }
}

bool CpuStream::Take(std::vector<CpuTask>& batch) {
  SpinBriefly([this] { return has_work_.load(std::memory_order_acquire); });
  MutexLock lock(mutex_);
  while (queue_.empty() && !stopping_) {
    parked_ = true;
    not_empty_.Wait(mutex_);
    parked_ = false;
  }
  std::swap(queue_, batch);
  has_work_.store(stopping_, std::memory_order_release);
  return !batch.empty();
}

void CpuStream::Copy(void* destination, const void* source, size_t bytes) {
  if (bytes == 0) return;
  Enqueue([destination, source, bytes] { std::memcpy(destination, source, bytes); });
}

void CpuStream::CopyBatch(std::span<const CopyEntry> entries) {
  if (entries.empty()) return;
  Enqueue([copies = std::vector<CopyEntry>(entries.begin(), entries.end())] {
    for (const CopyEntry& copy : copies) {
      if (copy.bytes != 0) std::memcpy(copy.destination, copy.source, copy.bytes);
    }
  });
}

void CpuStream::Fill(void* destination, uint8_t value, size_t bytes) {
  if (bytes == 0) return;
  Enqueue([destination, value, bytes] { std::memset(destination, value, bytes); });
}

void CpuStream::Record(Event& event) {
  SF_CHECK(!capturing_);
  auto* cpu_event = dynamic_cast<CpuEvent*>(&event);
  SF_CHECK(cpu_event != nullptr);
  cpu_event->Set(EventPoint{.timeline = timeline_, .sequence = num_enqueued_});
}

void CpuStream::Wait(const Event& event) {
  SF_CHECK(!capturing_);
  const auto* cpu_event = dynamic_cast<const CpuEvent*>(&event);
  SF_CHECK(cpu_event != nullptr);
  EventPoint point = cpu_event->point();
  if (point.Done() || point.timeline == timeline_) return;
  Enqueue([point = std::move(point)] { point.Wait(); });
}

void CpuStream::Synchronize() {
  SF_CHECK(!capturing_);
  timeline_->WaitFor(num_enqueued_);
}

void CpuStream::BeginCapture() {
  SF_CHECK(!capturing_);
  capturing_ = true;
}

std::unique_ptr<Graph> CpuStream::EndCapture() {
  SF_CHECK(capturing_);
  capturing_ = false;
  return std::make_unique<CpuGraph>(std::exchange(captured_, {}));
}

void CpuStream::Launch(const Graph& graph) {
  const auto* cpu_graph = dynamic_cast<const CpuGraph*>(&graph);
  SF_CHECK(cpu_graph != nullptr);
  Enqueue([tasks = cpu_graph->tasks()] {
    for (const CpuTask& task : *tasks) task();
  });
}

}  // namespace spearfish::kernels
