#include "kernels/cpu/cpu_device.h"

#include <algorithm>
#include <new>
#include <system_error>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/status_macros.h"
#include "hwy/targets.h"
#include "kernels/cpu/cpu_event.h"
#include "kernels/cpu/cpu_stream.h"

namespace spearfish::kernels {
namespace {

class ArenaBuffer : public Buffer {
 public:
  ArenaBuffer(Arena& arena, std::byte* data, size_t bytes)
      : arena_(arena), data_(data), bytes_(bytes) {}
  ~ArenaBuffer() override { arena_.Free(data_); }
  ArenaBuffer(const ArenaBuffer&) = delete;
  ArenaBuffer& operator=(const ArenaBuffer&) = delete;

  void* data() const override { return data_; }
  size_t bytes() const override { return bytes_; }

 private:
  Arena& arena_;
  std::byte* const data_;
  const size_t bytes_;
};

class HostBuffer : public Buffer {
 public:
  static constexpr std::align_val_t kAlignment{256};

  HostBuffer(void* data, size_t bytes) : data_(data), bytes_(bytes) {}
  ~HostBuffer() override { ::operator delete(data_, kAlignment); }
  HostBuffer(const HostBuffer&) = delete;
  HostBuffer& operator=(const HostBuffer&) = delete;

  void* data() const override { return data_; }
  size_t bytes() const override { return bytes_; }

 private:
  void* const data_;
  const size_t bytes_;
};

class SameAddress : public HostRegistration {
 public:
  explicit SameAddress(const void* address) : address_(address) {}
  const void* device_address() const override { return address_; }

 private:
  const void* const address_;
};

// The best Highway target this processor supports: the lowest bit that is set.
const char* BestTargetName() {
  const int64_t targets = hwy::SupportedTargets();
  return hwy::TargetName(targets & -targets);
}

}  // namespace

absl::StatusOr<std::unique_ptr<CpuDevice>> CpuDevice::Create(CpuDeviceOptions options) {
  SF_ASSIGN_OR_RETURN(std::unique_ptr<Arena> arena, Arena::Create(options.budget_bytes));
  DeviceInfo info{.name = std::move(options.name),
                  .description = absl::StrCat(options.num_threads,
                                              options.num_threads == 1 ? " thread, " : " threads, ",
                                              BestTargetName()),
                  .budget_bytes = arena->budget_bytes()};
  return absl::WrapUnique(new CpuDevice(std::move(info), std::move(arena)));
}

CpuDevice::CpuDevice(DeviceInfo info, std::unique_ptr<Arena> arena)
    : info_(std::move(info)), arena_(std::move(arena)) {}

absl::StatusOr<std::unique_ptr<Buffer>> CpuDevice::Allocate(size_t bytes, absl::string_view what) {
  SF_ASSIGN_OR_RETURN(std::byte * data, arena_->Allocate(bytes, what));
  return std::make_unique<ArenaBuffer>(*arena_, data, bytes);
}

absl::StatusOr<std::unique_ptr<Buffer>> CpuDevice::AllocateHost(size_t bytes) {
  void* data = ::operator new(std::max<size_t>(bytes, 1), HostBuffer::kAlignment, std::nothrow);
  if (data == nullptr) {
    return absl::ResourceExhaustedError(
        absl::StrCat("host memory exhausted: ", FormatBytes(bytes), " are not to be had"));
  }
  return std::make_unique<HostBuffer>(data, bytes);
}

absl::StatusOr<std::unique_ptr<HostRegistration>> CpuDevice::RegisterHost(
    std::span<const std::byte> memory) {
  return std::make_unique<SameAddress>(memory.data());
}

absl::StatusOr<std::unique_ptr<Stream>> CpuDevice::CreateStream(absl::string_view name) {
  try {
    return std::make_unique<CpuStream>(name);
  } catch (const std::system_error& error) {  // thread limit reached
    return absl::ResourceExhaustedError(absl::StrCat("cannot start a stream's thread: ", name, ": ",
                                                     error.what(),
                                                     "; raise the limit on processes"));
  }
}

absl::StatusOr<std::unique_ptr<Event>> CpuDevice::CreateEvent() {
  return std::make_unique<CpuEvent>();
}

}  // namespace spearfish::kernels
