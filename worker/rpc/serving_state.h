// Whether this worker is loading, serving, draining or unfit to serve: decided here, asked by every
// service.
#ifndef WORKER_RPC_SERVING_STATE_H_
#define WORKER_RPC_SERVING_STATE_H_

#include <atomic>
#include <functional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "common/segment/memory_floor.h"
#include "worker/rpc/loaded_model.h"

namespace spearfish::worker {

// Thread-safe. The order is loading -> serving -> draining; a drain asked for while loading takes
// effect at once, so such a worker never becomes ready. Beside that order, nothing is admitted
// while host memory is below its floor, or ever again once the expert cache was found damaged; what
// runs goes on. Must outlive the RPC server.
class ServingState {
 public:
  // Hears whether requests are admitted, each time that may have changed.
  using HealthListener = std::function<void(bool serving)>;

  // `device` is "cpu" or "cuda:0".
  explicit ServingState(std::string device);

  // The server listens. Calls `listener` now and at each change, under the lock.
  void SetListening(std::string address, HealthListener listener);
  // The server is about to go; the listener is dropped.
  void StopListening();

  // `model` must stay valid until the RPC server has shut down.
  void SetLoaded(const LoadedModel& model);
  // Stops admitting. Idempotent.
  void Drain();
  // What a look at the host's memory found. Returns whether it changed from low or to it.
  bool SetMemory(const MemoryStatus& memory);
  // The cache's bytes are not what was packed; `why` is DataLoss. The first call counts.
  void SetDamaged(absl::Status why);

  // Null while loading.
  const LoadedModel* loaded() const { return loaded_.load(std::memory_order_acquire); }
  // Unavailable while loading.
  absl::StatusOr<const LoadedModel*> Loaded() const;
  // Unavailable while loading or draining, DataLoss with a damaged cache, ResourceExhausted with
  // both figures while memory is low.
  absl::StatusOr<const LoadedModel*> Admitting() const;

  bool draining() const { return draining_.load(std::memory_order_acquire); }
  bool serving() const { return loaded() != nullptr && !draining() && fit(); }
  MemoryStatus memory() const;
  absl::Status damage() const;  // OK while none is known
  std::string address() const;
  const std::string& device() const { return device_; }
  absl::Duration uptime() const { return absl::Now() - started_; }

 private:
  bool fit() const { return fit_.load(std::memory_order_acquire); }
  void UpdateFitness() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TellHealth() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string device_;
  const absl::Time started_;
  std::atomic<const LoadedModel*> loaded_{nullptr};
  std::atomic<bool> draining_{false};
  std::atomic<bool> fit_{true};  // memory_ not low and damage_ OK
  mutable Mutex mutex_;
  std::string address_ ABSL_GUARDED_BY(mutex_);
  HealthListener health_ ABSL_GUARDED_BY(mutex_);
  MemoryStatus memory_ ABSL_GUARDED_BY(mutex_);
  absl::Status damage_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace spearfish::worker

#endif  // WORKER_RPC_SERVING_STATE_H_
