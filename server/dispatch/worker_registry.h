// The workers a gateway knows: address, channel, last reported load, requests in flight.
#ifndef SERVER_DISPATCH_WORKER_REGISTRY_H_
#define SERVER_DISPATCH_WORKER_REGISTRY_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "server/dispatch/circuit_breaker.h"
#include "server/dispatch/dispatch_policy.h"
#include "server/dispatch/retry.h"
#include "server/dispatch/worker_connection.h"

namespace spearfish::server {

struct DispatchOptions {
  DispatchPolicy policy = DispatchPolicy::kLeastWork;
  double load_factor = 1.25;  // see DispatchRequest
  CircuitBreakerOptions breaker = {};
  RetryOptions retry = {};
  // A worker that says nothing for so long is taken for lost.
  absl::Duration worker_silence = absl::Seconds(5);
  std::function<absl::Time()> clock = [] { return absl::Now(); };
};

// When a worker was asked for its load: its report speaks of that moment.
struct ReportTime {
  uint32_t in_flight = 0;   // sequences that the gateway had there
  uint64_t num_failed = 0;  // calls that had failed there
};

// A worker as the registry knows it now.
struct WorkerStatus {
  v1::WorkerLoad load;  // the last report, with the gateway's address and its own in-flight count
  CircuitBreaker::State breaker = CircuitBreaker::State::kClosed;
};

class WorkerRegistry;
struct RegisteredWorker;

// One request's place at a worker: its sequences count as in flight until destroyed. Move-only; the
// registry must outlive it.
class WorkerLease {
 public:
  enum class Kind { kUsual, kTrial };  // of a half-open breaker
  WorkerLease(WorkerRegistry& registry, std::shared_ptr<RegisteredWorker> worker,
              uint32_t num_sequences, Kind kind)
      : registry_(&registry),
        worker_(std::move(worker)),
        num_sequences_(num_sequences),
        kind_(kind) {}
  WorkerLease(WorkerLease&& other) noexcept;
  WorkerLease& operator=(WorkerLease&&) = delete;
  ~WorkerLease();

  const WorkerConnection& worker() const;

  // What the request showed of the worker, for its breaker: it answers; or a call failed, and it is
  // not ready until its next good report.
  void Succeeded();
  void Failed();

 private:
  WorkerRegistry* registry_;
  // Shared: the worker may leave the registry while the request goes on.
  std::shared_ptr<RegisteredWorker> worker_;
  const uint32_t num_sequences_;
  Kind kind_;
};

// What a request brings to the choice of its worker.
struct RouteRequest {
  uint64_t affinity_key = 0;
  uint32_t num_sequences = 1;
};

// Thread-safe. Workers come and go by SetWorkers. Invariant: the registry holds the last reference
// to every worker: a channel must not be destroyed on gRPC's threads (it would wait for itself), so
// Sweep does it.
class WorkerRegistry {
 public:
  // `security` is that of the channels to workers and must outlive the registry.
  WorkerRegistry(const std::vector<std::string>& addresses, DispatchOptions options,
                 ChannelSecurity& security);

  // InvalidArgument for an empty or a repeated address.
  static absl::Status Validate(const std::vector<std::string>& addresses);

  // From now on these are the workers; duplicates count once. Those that stay keep their channels;
  // what runs at one that leaves goes on to its end.
  void SetWorkers(const std::vector<std::string>& addresses);
  // Connects anew to all when the channels' credentials have changed; what runs goes on over the
  // old connections.
  void RenewConnections();
  // Destroys the workers that left and that nobody uses any more. Never call it on a thread of
  // gRPC's.
  void Sweep();

  // The worker that the policy picks among those that are ready, with closed breakers, and not in
  // `tried`; an open breaker is no reason to refuse when there is no other. Unavailable when there
  // is none, saying how many workers are known.
  absl::StatusOr<WorkerLease> Acquire(const RouteRequest& request,
                                      const std::vector<WorkerId>& tried);

  // What the poller learned of a worker; nullopt: it did not answer, so it is not ready. Of a load
  // from before its last failed call only that it answered counts.
  void Report(WorkerId id, const std::optional<v1::WorkerLoad>& load, ReportTime asked);
  // It has not answered in time: chance once, not ready the second time in a row.
  void ReportLate(WorkerId id);
  ReportTime ReportTimeOf(WorkerId id) const;

  // Counts a new request, or takes a retry out of the budget.
  void CountRequest();
  bool TakeRetry();
  const DispatchOptions& options() const { return options_; }

  size_t size() const;
  size_t num_ready() const;
  // Sequences that the ready workers can run at once; a worker that does not say counts 64.
  uint64_t capacity() const;
  // In the order of SetWorkers. What they point to lives until Sweep after they are gone.
  std::vector<std::shared_ptr<const WorkerConnection>> Connections() const;
  // Those that left and still serve somebody, too.
  std::vector<std::shared_ptr<const WorkerConnection>> AllConnections() const;
  // Both in the order of SetWorkers.
  std::vector<WorkerStatus> Statuses() const;
  std::vector<v1::WorkerLoad> Loads() const;

 private:
  friend class WorkerLease;
  using Worker = std::shared_ptr<RegisteredWorker>;

  Worker Connect(const std::string& address) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<WorkerCandidate> Candidates(const std::vector<WorkerId>& tried, absl::Time now) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  RegisteredWorker* Find(WorkerId id) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const DispatchOptions options_;
  ChannelSecurity& security_;
  mutable Mutex mutex_;
  std::vector<Worker> workers_ ABSL_GUARDED_BY(mutex_);
  std::vector<Worker> gone_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t turn_ ABSL_GUARDED_BY(mutex_) = 0;
  RetryBudget budget_ ABSL_GUARDED_BY(mutex_);
  absl::BitGen random_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace spearfish::server

#endif  // SERVER_DISPATCH_WORKER_REGISTRY_H_
