#include "kernels/cuda/cuda_device.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/status_macros.h"
#include "kernels/cuda/cuda_check.h"
#include "kernels/cuda/cuda_event.h"
#include "kernels/cuda/cuda_stream.h"

namespace spearfish::kernels {
namespace {

class ArenaBuffer : public Buffer {
 public:
  ArenaBuffer(DeviceArena& arena, std::byte* data, size_t bytes)
      : arena_(arena), data_(data), bytes_(bytes) {}
  ~ArenaBuffer() override { arena_.Free(data_); }
  ArenaBuffer(const ArenaBuffer&) = delete;
  ArenaBuffer& operator=(const ArenaBuffer&) = delete;

  void* data() const override { return data_; }
  size_t bytes() const override { return bytes_; }

 private:
  DeviceArena& arena_;
  std::byte* const data_;
  const size_t bytes_;
};

// Page-locked host memory; pages are 4 KiB aligned.
class PinnedBuffer : public Buffer {
 public:
  PinnedBuffer(void* data, size_t bytes) : data_(data), bytes_(bytes) {}
  ~PinnedBuffer() override { SF_CUDA(cudaFreeHost(data_)); }
  PinnedBuffer(const PinnedBuffer&) = delete;
  PinnedBuffer& operator=(const PinnedBuffer&) = delete;

  void* data() const override { return data_; }
  size_t bytes() const override { return bytes_; }

 private:
  void* const data_;
  const size_t bytes_;
};

class PageLock : public HostRegistration {
 public:
  PageLock(void* host, const void* device) : host_(host), device_(device) {}
  ~PageLock() override { SF_CUDA(cudaHostUnregister(host_)); }
  PageLock(const PageLock&) = delete;
  PageLock& operator=(const PageLock&) = delete;

  const void* device_address() const override { return device_; }

 private:
  void* const host_;
  const void* const device_;
};

int Attribute(cudaDeviceAttr attribute, int ordinal) {
  int value = 0;
  SF_CUDA(cudaDeviceGetAttribute(&value, attribute, ordinal));
  return value;
}

// "13.0" from 13000, as CUDA counts.
std::string VersionName(int version) {
  return absl::StrCat(version / 1000, ".", version % 1000 / 10);
}

// Why a device can't be had, and what to do about it.
std::string WhyNoDevice(cudaError_t error, int count) {
  if (error != cudaErrorInsufficientDriver) {
    return absl::StrCat(count, " are visible (", cudaGetErrorString(error),
                        "); see nvidia-smi and CUDA_VISIBLE_DEVICES, or use the device cpu");
  }
  int driver = 0;
  (void)cudaDriverGetVersion(&driver);
  return absl::StrCat(driver == 0 ? "no NVIDIA driver (libcuda.so.1) is installed"
                                  : "the NVIDIA driver is of CUDA " + VersionName(driver),
                      "; install one of CUDA ", VersionName(CUDART_VERSION),
                      " or later, or use the device cpu");
}

absl::Status FindDevice(int ordinal) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && ordinal >= 0 && ordinal < count) return absl::OkStatus();
  (void)cudaGetLastError();
  return absl::NotFoundError(absl::StrCat("no such CUDA device: ", ordinal, ", ",
                                          WhyNoDevice(error, error == cudaSuccess ? count : 0)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<CudaDevice>> CudaDevice::Create(CudaDeviceOptions options) {
  SF_RETURN_IF_ERROR(FindDevice(options.ordinal));
  SF_CUDA(cudaSetDevice(options.ordinal));
  cudaDeviceProp properties;
  SF_CUDA(cudaGetDeviceProperties(&properties, options.ordinal));
  SF_ASSIGN_OR_RETURN(std::unique_ptr<DeviceArena> arena,
                      DeviceArena::Create(options.budget_bytes));
  DeviceInfo info{
      .name = absl::StrCat("cuda:", options.ordinal),
      .description = absl::StrCat(properties.name, ", ", properties.multiProcessorCount,
                                  " multiprocessors, ", FormatBytes(properties.totalGlobalMem)),
      .budget_bytes = arena->budget_bytes()};
  return absl::WrapUnique(new CudaDevice(options.ordinal, std::move(info), std::move(arena)));
}

CudaDevice::CudaDevice(int ordinal, DeviceInfo info, std::unique_ptr<DeviceArena> arena)
    : ordinal_(ordinal), info_(std::move(info)), arena_(std::move(arena)) {}

absl::StatusOr<std::unique_ptr<Buffer>> CudaDevice::Allocate(size_t bytes, absl::string_view what) {
  SF_ASSIGN_OR_RETURN(std::byte * data, arena_->Allocate(bytes, what));
  return std::make_unique<ArenaBuffer>(*arena_, data, bytes);
}

absl::StatusOr<std::unique_ptr<Buffer>> CudaDevice::AllocateHost(size_t bytes) {
  SF_CUDA(cudaSetDevice(ordinal_));
  void* data = nullptr;
  const cudaError_t error =
      cudaHostAlloc(&data, std::max<size_t>(bytes, 1), cudaHostAllocPortable | cudaHostAllocMapped);
  if (error == cudaErrorMemoryAllocation) {
    (void)cudaGetLastError();
    return absl::ResourceExhaustedError(absl::StrCat("host memory exhausted: ", FormatBytes(bytes),
                                                     " can't be page-locked; see ulimit -l"));
  }
  SF_CUDA(error);
  return std::make_unique<PinnedBuffer>(data, bytes);
}

absl::StatusOr<std::unique_ptr<HostRegistration>> CudaDevice::RegisterHost(
    std::span<const std::byte> memory) {
  SF_CUDA(cudaSetDevice(ordinal_));
  void* host = const_cast<std::byte*>(memory.data());
  unsigned int flags = cudaHostRegisterMapped | cudaHostRegisterPortable;
  if (Attribute(cudaDevAttrHostRegisterReadOnlySupported, ordinal_) != 0) {
    flags |= cudaHostRegisterReadOnly;
  }
  const cudaError_t error = cudaHostRegister(host, memory.size(), flags);
  if (error == cudaErrorMemoryAllocation) {
    (void)cudaGetLastError();
    return absl::ResourceExhaustedError(absl::StrCat(
        "cannot page-lock host memory: ", FormatBytes(memory.size()), "; see ulimit -l"));
  }
  if (error == cudaErrorInvalidValue || error == cudaErrorNotSupported) {
    (void)cudaGetLastError();
    return absl::FailedPreconditionError(
        absl::StrCat("cannot register host memory: ", FormatBytes(memory.size()), ": ",
                     cudaGetErrorString(error),
                     "; map it writable where the device can't read a read-only one"));
  }
  SF_CUDA(error);
  void* device = nullptr;
  SF_CUDA(cudaHostGetDevicePointer(&device, host, 0));
  return std::make_unique<PageLock>(host, device);
}

absl::StatusOr<std::unique_ptr<Stream>> CudaDevice::CreateStream(absl::string_view /*name*/) {
  return std::make_unique<CudaStream>(ordinal_);
}

absl::StatusOr<std::unique_ptr<Event>> CudaDevice::CreateEvent() {
  SF_CUDA(cudaSetDevice(ordinal_));
  return std::make_unique<CudaEvent>();
}

}  // namespace spearfish::kernels
