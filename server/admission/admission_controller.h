// Makes requests wait for their start, and tells them.
#ifndef SERVER_ADMISSION_ADMISSION_CONTROLLER_H_
#define SERVER_ADMISSION_ADMISSION_CONTROLLER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "server/admission/admission_queue.h"

namespace spearfish::server {

class AdmissionController;

// A request's place among those that run, until destroyed. Move-only; empty when default-made. The
// controller must outlive it.
class AdmissionTicket {
 public:
  AdmissionTicket() = default;
  AdmissionTicket(AdmissionController& controller, uint64_t id)
      : controller_(&controller), id_(id) {}
  AdmissionTicket(AdmissionTicket&& other) noexcept
      : controller_(std::exchange(other.controller_, nullptr)), id_(other.id_) {}
  AdmissionTicket& operator=(AdmissionTicket&& other) noexcept;
  ~AdmissionTicket();

 private:
  AdmissionController* controller_ = nullptr;
  uint64_t id_ = 0;
};

// Thread-safe around AdmissionQueue; calls back without its lock, on the thread that made room.
// Late requests are found whenever something is called: SetCapacity comes with every load report.
class AdmissionController {
 public:
  // With a ticket the request starts; without, it is refused.
  using Decided = std::function<void(AdmissionTicket ticket, std::optional<Refusal> refusal)>;

  explicit AdmissionController(
      const AdmissionOptions& options,
      std::function<absl::Time()> clock = [] { return absl::Now(); })
      : clock_(std::move(clock)), queue_(options) {}

  uint64_t NewId() { return next_id_.fetch_add(1, std::memory_order_relaxed); }

  // `decided` is called once, maybe before Enter is back, unless Withdraw says true first.
  void Enter(uint64_t id, AdmissionRequest request, Decided decided);
  // True when the request waited: it is forgotten. False: it has been or is being decided.
  bool Withdraw(uint64_t id);

  void SetCapacity(uint64_t num_sequences);

  // Refuses what waits under one of these request ids; which those were.
  std::vector<std::string> Abort(const std::vector<std::string>& request_ids);

  uint32_t num_waiting() const;
  uint64_t num_running_sequences() const;

 private:
  friend class AdmissionTicket;
  struct Call {
    uint64_t id;
    Decided decided;
    std::optional<Refusal> refusal;
  };

  void Ended(uint64_t id);
  // Moves the outcomes' callbacks out of the books.
  std::vector<Call> Collect(std::vector<AdmissionOutcome> outcomes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Run(std::vector<Call> calls);

  const std::function<absl::Time()> clock_;
  std::atomic<uint64_t> next_id_ = 1;
  mutable Mutex mutex_;
  AdmissionQueue queue_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<uint64_t, Decided> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace spearfish::server

#endif  // SERVER_ADMISSION_ADMISSION_CONTROLLER_H_
