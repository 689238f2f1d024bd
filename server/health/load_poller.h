// Asks every worker for its load, again and again, and tells the registry.
#ifndef SERVER_HEALTH_LOAD_POLLER_H_
#define SERVER_HEALTH_LOAD_POLLER_H_

#include <functional>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "server/dispatch/worker_registry.h"

namespace spearfish::server {

struct LoadPollerOptions {
  absl::Duration interval = absl::Milliseconds(200);
  absl::Duration timeout = absl::Seconds(1);
};

// Owns one thread; calls are asynchronous, so a worker that hangs delays nobody else's report. The
// thread also renews the registry's connections and sweeps it: channels that are left end here.
// The registry must outlive it. Destruction waits for the calls in flight (at most the timeout).
class LoadPoller {
 public:
  // `on_report` hears after each report, on the threads of gRPC, how many workers are ready.
  LoadPoller(WorkerRegistry& registry, LoadPollerOptions options,
             std::function<void(size_t num_ready)> on_report);
  ~LoadPoller();

 private:
  struct Call;

  void Run();
  void Poll(const std::shared_ptr<const WorkerConnection>& worker);
  void Finished(std::shared_ptr<Call> call, const grpc::Status& status);

  WorkerRegistry& registry_;
  const LoadPollerOptions options_;
  const std::function<void(size_t)> on_report_;
  Mutex report_mutex_;  // around num_ready and on_report_: who tells last has the newest number
  Mutex mutex_;
  Condition changed_;  // stopping_ is set, or a call has ended
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_set<WorkerId> in_flight_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace spearfish::server

#endif  // SERVER_HEALTH_LOAD_POLLER_H_
