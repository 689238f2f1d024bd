// A CPU device that records what is allocated on it and lets a test hold its streams.
#ifndef TESTS_UNIT_WORKER_EXPERTS_WATCHED_DEVICE_H_
#define TESTS_UNIT_WORKER_EXPERTS_WATCHED_DEVICE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "kernels/cpu/cpu_device.h"
#include "kernels/cpu/cpu_stream.h"

namespace spearfish::tests {

// Holds a stream at the point where Hold was called until Release. Must be released before the
// stream is destroyed.
class StreamGate {
 public:
  void Hold(kernels::CpuStream& stream) {
    {
      MutexLock lock(mutex_);
      open_ = false;
    }
    stream.Enqueue([this] {
      MutexLock lock(mutex_);
      while (!open_) opened_.Wait(mutex_);
    });
  }
  void Release() {
    MutexLock lock(mutex_);
    open_ = true;
    opened_.SignalAll();
  }

 private:
  Mutex mutex_;
  Condition opened_;
  bool open_ ABSL_GUARDED_BY(mutex_) = true;
};

// Forwards to a CpuDevice; used by the test's thread.
class WatchedDevice : public kernels::Device {
 public:
  explicit WatchedDevice(uint64_t budget_bytes) {
    auto device = kernels::CpuDevice::Create({.budget_bytes = budget_bytes});
    SF_CHECK_OK(device.status());
    device_ = *std::move(device);
  }

  const kernels::DeviceInfo& info() const override { return device_->info(); }
  uint64_t allocated_bytes() const override { return device_->allocated_bytes(); }
  absl::StatusOr<std::unique_ptr<kernels::Buffer>> Allocate(size_t bytes,
                                                            absl::string_view what) override {
    device_allocations_.push_back(bytes);
    return device_->Allocate(bytes, what);
  }
  absl::StatusOr<std::unique_ptr<kernels::Buffer>> AllocateHost(size_t bytes) override {
    host_allocations_.push_back(bytes);
    return device_->AllocateHost(bytes);
  }
  absl::StatusOr<std::unique_ptr<kernels::HostRegistration>> RegisterHost(
      std::span<const std::byte> memory) override {
    return device_->RegisterHost(memory);
  }
  absl::StatusOr<std::unique_ptr<kernels::Stream>> CreateStream(absl::string_view name) override {
    SF_ASSIGN_OR_RETURN(auto stream, device_->CreateStream(name));
    streams_.push_back(dynamic_cast<kernels::CpuStream*>(stream.get()));
    return stream;
  }
  absl::StatusOr<std::unique_ptr<kernels::Event>> CreateEvent() override {
    return device_->CreateEvent();
  }

  // In the order of creation; valid while their owners live.
  kernels::CpuStream& stream(size_t index) const { return *streams_[index]; }
  const std::vector<size_t>& device_allocations() const { return device_allocations_; }
  const std::vector<size_t>& host_allocations() const { return host_allocations_; }

 private:
  std::unique_ptr<kernels::CpuDevice> device_;
  std::vector<kernels::CpuStream*> streams_;
  std::vector<size_t> device_allocations_;
  std::vector<size_t> host_allocations_;
};

}  // namespace spearfish::tests

#endif  // TESTS_UNIT_WORKER_EXPERTS_WATCHED_DEVICE_H_
