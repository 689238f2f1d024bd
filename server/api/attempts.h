// The tries of one request at one worker after the other.
#ifndef SERVER_API_ATTEMPTS_H_
#define SERVER_API_ATTEMPTS_H_

#include <grpcpp/support/status.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/dispatch/worker_registry.h"

namespace spearfish::server {

// Whether the same request may be given to another worker. The reactions of one call use it in
// turn; the registry must outlive it.
class Attempts {
 public:
  Attempts(WorkerRegistry& registry, RouteRequest request)
      : registry_(registry), request_(request) {
    registry.CountRequest();
  }

  // A worker that has not been tried since the last pause or message.
  absl::StatusOr<WorkerLease> Next() { return registry_.Acquire(request_, tried_); }
  // It is being asked.
  void Started(WorkerId worker) { tried_.push_back(worker); }

  // The client has got something of this try: what fails now is new.
  void Progressed();

  // Whether there is another try. kFirst: nothing has reached the client, so the retry budget is
  // asked; kResume: a stream goes on elsewhere.
  enum class Kind { kFirst, kResume };
  bool MayRetry(Kind kind);
  // How long to wait when Next had no worker; nullopt when that has been long enough.
  std::optional<absl::Duration> Pause();

 private:
  WorkerRegistry& registry_;
  const RouteRequest request_;
  std::vector<WorkerId> tried_;
  uint32_t num_failures_ = 0;
  uint32_t num_pauses_ = 0;
  absl::Duration paused_ = absl::ZeroDuration();  // in all: tries themselves take no patience
};

}  // namespace spearfish::server

#endif  // SERVER_API_ATTEMPTS_H_
