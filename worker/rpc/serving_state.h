// Whether this worker is loading, serving or draining: decided here, asked by every service.
#ifndef WORKER_RPC_SERVING_STATE_H_
#define WORKER_RPC_SERVING_STATE_H_

#include <atomic>
#include <functional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "worker/rpc/loaded_model.h"

namespace spearfish::worker {

// Thread-safe. The order is loading -> serving -> draining; a drain asked for while loading takes
// effect at once, so such a worker never becomes ready. Must outlive the RPC server.
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

  // Null while loading.
  const LoadedModel* loaded() const { return loaded_.load(std::memory_order_acquire); }
  // Unavailable while loading.
  absl::StatusOr<const LoadedModel*> Loaded() const;
  // Unavailable while loading or draining.
  absl::StatusOr<const LoadedModel*> Admitting() const;

  bool draining() const { return draining_.load(std::memory_order_acquire); }
  bool serving() const { return loaded() != nullptr && !draining(); }
  std::string address() const;
  const std::string& device() const { return device_; }
  absl::Duration uptime() const { return absl::Now() - started_; }

 private:
  void TellHealth() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string device_;
  const absl::Time started_;
  std::atomic<const LoadedModel*> loaded_{nullptr};
  std::atomic<bool> draining_{false};
  mutable Mutex mutex_;
  std::string address_ ABSL_GUARDED_BY(mutex_);
  HealthListener health_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace spearfish::worker

#endif  // WORKER_RPC_SERVING_STATE_H_
