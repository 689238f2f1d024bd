// The workers a gateway knows: address, channel, last reported load, requests in flight.
#ifndef SERVER_DISPATCH_WORKER_REGISTRY_H_
#define SERVER_DISPATCH_WORKER_REGISTRY_H_

#include <grpcpp/channel.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "spearfish/v1/control.grpc.pb.h"
#include "spearfish/v1/inference.grpc.pb.h"

namespace spearfish::server {

// One worker as an address. Immutable apart from what gRPC synchronises itself.
struct WorkerConnection {
  std::string address;
  std::shared_ptr<grpc::Channel> channel;  // shared with the stubs, as gRPC's API wants
  std::unique_ptr<v1::InferenceService::Stub> inference;
  std::unique_ptr<v1::ControlService::Stub> control;
};

class WorkerRegistry;

// One request's place at a worker: counts as in flight until destroyed. Move-only; the registry
// must outlive it.
class WorkerLease {
 public:
  WorkerLease(WorkerRegistry& registry, size_t index) : registry_(&registry), index_(index) {}
  WorkerLease(WorkerLease&& other) noexcept;
  WorkerLease& operator=(WorkerLease&&) = delete;
  ~WorkerLease();

  const WorkerConnection& worker() const;
  size_t index() const { return index_; }

 private:
  WorkerRegistry* registry_;
  size_t index_;
};

// Thread-safe. The set of workers is fixed at Create.
class WorkerRegistry {
 public:
  // Channels are made but not waited for. InvalidArgument for an empty list, an empty or a
  // repeated address.
  static absl::StatusOr<std::unique_ptr<WorkerRegistry>> Create(
      const std::vector<std::string>& addresses);

  size_t size() const { return workers_.size(); }
  const WorkerConnection& worker(size_t index) const { return *workers_[index]; }

  // The least loaded ready worker that is not among `tried`. Unavailable when there is none,
  // saying how many workers are known.
  absl::StatusOr<WorkerLease> Acquire(const std::vector<size_t>& tried);

  // What the poller learned of a worker; nullopt: it did not answer, so it is not ready.
  void Report(size_t index, const std::optional<v1::WorkerLoad>& load);
  // A call to it failed: not ready until the next good report.
  void MarkFailed(size_t index) { Report(index, std::nullopt); }

  size_t num_ready() const;
  // Per worker the last report, with the gateway's address for it and its own in-flight count.
  std::vector<v1::WorkerLoad> Loads() const;

 private:
  friend class WorkerLease;
  struct State {
    v1::WorkerLoad load;  // as last reported; `ready` false before the first report
    uint32_t in_flight = 0;
  };

  WorkerRegistry() = default;
  void Release(size_t index);

  std::vector<std::unique_ptr<WorkerConnection>> workers_;  // fixed after Create
  mutable Mutex mutex_;
  std::vector<State> states_ ABSL_GUARDED_BY(mutex_);
  uint64_t turn_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace spearfish::server

#endif  // SERVER_DISPATCH_WORKER_REGISTRY_H_
