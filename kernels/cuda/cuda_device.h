// A CUDA device: a budgeted arena in its memory, streams, events and host registrations.
#ifndef KERNELS_CUDA_CUDA_DEVICE_H_
#define KERNELS_CUDA_CUDA_DEVICE_H_

#include <cstdint>
#include <memory>

#include "kernels/api/device.h"
#include "kernels/cuda/device_arena.h"

namespace spearfish::kernels {

struct CudaDeviceOptions {
  int ordinal = 0;  // as CUDA numbers the devices that the process may see
  uint64_t budget_bytes = 0;
};

// Owns the budget for its whole life, so that nothing else on the device can take it away.
// Thread-safe. Buffers, streams, events and registrations must be destroyed before it. A CUDA
// error that can't be handled ends the process (cuda_check.h).
class CudaDevice : public Device {
 public:
  // NotFound when there is no such device, ResourceExhausted when it does not have the budget.
  static absl::StatusOr<std::unique_ptr<CudaDevice>> Create(CudaDeviceOptions options);

  const DeviceInfo& info() const override { return info_; }
  uint64_t allocated_bytes() const override { return arena_->allocated_bytes(); }
  absl::StatusOr<std::unique_ptr<Buffer>> Allocate(size_t bytes, absl::string_view what) override;
  absl::StatusOr<std::unique_ptr<Buffer>> AllocateHost(size_t bytes) override;
  // Page-locks `memory` (page-aligned begin) and maps it for reading; nothing is copied. Several
  // processes may register the same pages. ResourceExhausted when the system refuses to lock them,
  // FailedPrecondition for a read-only mapping on a device that can't read one.
  absl::StatusOr<std::unique_ptr<HostRegistration>> RegisterHost(
      std::span<const std::byte> memory) override;
  absl::StatusOr<std::unique_ptr<Stream>> CreateStream(absl::string_view name) override;
  absl::StatusOr<std::unique_ptr<Event>> CreateEvent() override;

  int ordinal() const { return ordinal_; }
  // The whole budget.
  std::span<const std::byte> memory() const { return arena_->memory(); }

 private:
  CudaDevice(int ordinal, DeviceInfo info, std::unique_ptr<DeviceArena> arena);

  const int ordinal_;
  const DeviceInfo info_;
  const std::unique_ptr<DeviceArena> arena_;
};

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_CUDA_DEVICE_H_
