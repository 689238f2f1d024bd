// What a backend offers besides arithmetic: memory, streams, events, copies, graphs.
// Device addresses are plain pointers; on the CPU device they can be read by the host, elsewhere
// they can't. Methods that enqueue return at once; work of one stream runs in order.
#ifndef KERNELS_API_DEVICE_H_
#define KERNELS_API_DEVICE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "absl/strings/string_view.h"

namespace spearfish::kernels {

// Owns memory of the device (or page-locked host memory); frees it on destruction. The Device must
// outlive it.
class Buffer {
 public:
  virtual ~Buffer() = default;
  virtual void* data() const = 0;  // 256-byte aligned
  virtual size_t bytes() const = 0;

  template <typename T>
  T* as() const {
    return static_cast<T*>(data());
  }
};

// A point in a stream's order. Reusable: a new Record replaces the old point.
class Event {
 public:
  virtual ~Event() = default;
  // True when everything before the last Record has finished, or nothing was recorded.
  virtual bool Done() const = 0;
  virtual void Synchronize() const = 0;
};

// Enqueued work captured once and launched many times.
class Graph {
 public:
  virtual ~Graph() = default;
};

struct CopyEntry {
  void* destination;
  const void* source;
  size_t bytes;
};

// An in-order queue. Used by one host thread at a time. A backend error that can't be handled
// (sticky) ends the process with a message: the launcher restarts the worker.
class Stream {
 public:
  virtual ~Stream() = default;  // waits for what is enqueued

  // Source and destination stay valid, and the source unchanged, until the copy has run. Either
  // side may be device memory, page-locked host memory or a registered mapping.
  virtual void Copy(void* destination, const void* source, size_t bytes) = 0;
  // Many copies in one call; the span itself is read before the call returns.
  virtual void CopyBatch(std::span<const CopyEntry> entries) = 0;
  virtual void Fill(void* destination, uint8_t value, size_t bytes) = 0;

  virtual void Record(Event& event) = 0;
  // Later work of this stream waits for the event's last Record (before this call).
  virtual void Wait(const Event& event) = 0;
  virtual void Synchronize() = 0;

  // Between the two, enqueued work is recorded instead of run. Synchronize, Record and Wait are
  // not allowed while capturing.
  virtual void BeginCapture() = 0;
  virtual std::unique_ptr<Graph> EndCapture() = 0;
  virtual void Launch(const Graph& graph) = 0;
};

// Host memory made readable by the device without a copy. Unregisters on destruction.
class HostRegistration {
 public:
  virtual ~HostRegistration() = default;
  // The device's address for the first registered byte.
  virtual const void* device_address() const = 0;
};

struct DeviceInfo {
  std::string name;           // "cpu", "cuda:0"
  std::string description;    // "2 threads, AVX3_DL", "NVIDIA H200"
  uint64_t budget_bytes = 0;  // what Allocate may hand out in total
};

// Thread-safe.
class Device {
 public:
  virtual ~Device() = default;

  virtual const DeviceInfo& info() const = 0;
  virtual uint64_t allocated_bytes() const = 0;

  // ResourceExhausted when the budget does not hold it, with the figures; `what` names the use in
  // that message. Contents are undefined.
  virtual absl::StatusOr<std::unique_ptr<Buffer>> Allocate(size_t bytes,
                                                           absl::string_view what) = 0;
  // Page-locked host memory, readable and writable by the host and the device.
  virtual absl::StatusOr<std::unique_ptr<Buffer>> AllocateHost(size_t bytes) = 0;
  // `memory` stays mapped until the registration is gone; never copies it.
  virtual absl::StatusOr<std::unique_ptr<HostRegistration>> RegisterHost(
      std::span<const std::byte> memory) = 0;

  virtual absl::StatusOr<std::unique_ptr<Stream>> CreateStream(absl::string_view name) = 0;
  virtual absl::StatusOr<std::unique_ptr<Event>> CreateEvent() = 0;
};

}  // namespace spearfish::kernels

#endif  // KERNELS_API_DEVICE_H_
