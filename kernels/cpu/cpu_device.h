// The CPU device: a budgeted arena as device memory, threads as streams.
#ifndef KERNELS_CPU_CPU_DEVICE_H_
#define KERNELS_CPU_CPU_DEVICE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "kernels/api/device.h"
#include "kernels/cpu/arena.h"

namespace spearfish::kernels {

struct CpuDeviceOptions {
  uint64_t budget_bytes = 0;
  uint32_t num_threads = 1;  // for the description only: CpuKernels owns the compute threads
  std::string name = "cpu";
};

// Thread-safe. Buffers, streams and events must be destroyed before it.
class CpuDevice : public Device {
 public:
  // Arena::Create's errors.
  static absl::StatusOr<std::unique_ptr<CpuDevice>> Create(CpuDeviceOptions options);

  const DeviceInfo& info() const override { return info_; }
  uint64_t allocated_bytes() const override { return arena_->allocated_bytes(); }
  absl::StatusOr<std::unique_ptr<Buffer>> Allocate(size_t bytes, absl::string_view what) override;
  absl::StatusOr<std::unique_ptr<Buffer>> AllocateHost(size_t bytes) override;
  // The same address: the CPU device reads host memory as it is.
  absl::StatusOr<std::unique_ptr<HostRegistration>> RegisterHost(
      std::span<const std::byte> memory) override;
  absl::StatusOr<std::unique_ptr<Stream>> CreateStream(absl::string_view name) override;
  absl::StatusOr<std::unique_ptr<Event>> CreateEvent() override;

 private:
  CpuDevice(DeviceInfo info, std::unique_ptr<Arena> arena);

  const DeviceInfo info_;
  const std::unique_ptr<Arena> arena_;
};

}  // namespace spearfish::kernels

#endif  // KERNELS_CPU_CPU_DEVICE_H_
