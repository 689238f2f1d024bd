// A region of device memory with its page-locked twin on the host, cut anew for every step.
#ifndef WORKER_MODEL_STAGED_MEMORY_H_
#define WORKER_MODEL_STAGED_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/bytes.h"
#include "common/base/check.h"
#include "kernels/api/device.h"

namespace spearfish::worker {

// The same array on both sides.
template <typename T>
struct Staged {
  std::span<T> host;
  T* device = nullptr;
};

// Owns both sides. Per step: Reset, Add arrays, then one Upload (inputs) or Download (results) of
// all that was added. Used by the thread that enqueues steps, which waits for the stream before it
// resets; the device must outlive it. Never allocates after Create.
class StagedMemory {
 public:
  static constexpr size_t kAlignment = 256;

  // `what` names the use when the device's budget does not hold it.
  static absl::StatusOr<std::unique_ptr<StagedMemory>> Create(kernels::Device& device,
                                                              uint64_t bytes,
                                                              absl::string_view what);

  // What an array takes of the capacity.
  template <typename T>
  static constexpr uint64_t BytesOf(uint64_t count) {
    return AlignUp(count * sizeof(T), kAlignment);
  }

  void Reset() { used_ = 0; }

  template <typename T>
  Staged<T> Add(size_t count) {
    const size_t offset = used_;
    used_ += BytesOf<T>(count);
    SF_CHECK(used_ <= host_->bytes());
    return {.host = {reinterpret_cast<T*>(host_->as<std::byte>() + offset), count},
            .device = reinterpret_cast<T*>(device_->as<std::byte>() + offset)};
  }

  void Upload(kernels::Stream& stream) const { stream.Copy(device_->data(), host_->data(), used_); }
  void Download(kernels::Stream& stream) const {
    stream.Copy(host_->data(), device_->data(), used_);
  }

 private:
  StagedMemory(std::unique_ptr<kernels::Buffer> device, std::unique_ptr<kernels::Buffer> host)
      : device_(std::move(device)), host_(std::move(host)) {}

  const std::unique_ptr<kernels::Buffer> device_;
  const std::unique_ptr<kernels::Buffer> host_;
  size_t used_ = 0;
};

}  // namespace spearfish::worker

#endif  // WORKER_MODEL_STAGED_MEMORY_H_
