// Which requests start now, which wait, and which are refused. Pure: no gRPC, no clock, no lock.
#ifndef SERVER_ADMISSION_ADMISSION_QUEUE_H_
#define SERVER_ADMISSION_ADMISSION_QUEUE_H_

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace spearfish::server {

struct AdmissionOptions {
  uint32_t max_waiting = 1024;                       // requests
  uint64_t max_waiting_bytes = uint64_t{256} << 20;  // that they hold
  uint32_t max_per_client = 0;                       // waiting and running; 0 = no limit
  // A larger one counts as this: clients name their own.
  int32_t max_priority = std::numeric_limits<int32_t>::max();
  absl::Duration longest_wait = absl::Seconds(30);       // a request that can't start by then
  absl::Duration least_retry = absl::Milliseconds(100);  // what a refused client is told to wait
};

struct AdmissionRequest {
  std::string client = {};      // whom its share is taken from
  std::string request_id = {};  // by which it can be aborted
  int32_t priority = 0;
  uint32_t num_sequences = 1;
  uint64_t bytes = 0;
  absl::Time deadline = absl::InfiniteFuture();
};

enum class RefusalReason { kQueueFull, kClientLimit, kTooLate, kDisplaced, kNoWorker, kAborted };

struct Refusal {
  RefusalReason reason = RefusalReason::kQueueFull;
  std::string message;
  absl::Duration retry_after;
};

// What becomes of a request: it starts, or is refused.
struct AdmissionOutcome {
  uint64_t id = 0;
  std::optional<Refusal> refusal;
};

// Requests wait while the sequences of those that run fill the capacity. Larger priority first;
// among equals the clients take turns by the sequences that they started (start-time fair queuing),
// within a client the first come. A full queue makes room for a request of larger priority, or of a
// client that has fewer waiting, by refusing the latest of who has the most. A request that would
// not start before its deadline, by the service times measured, is refused at once. Without any
// capacity no worker is ready: what waits is refused; what comes starts, to wait for a worker or
// hear that there is none, while no more than `max_waiting` do.
// A value: its owner locks, and passes the time. Ids are the caller's, each used once.
class AdmissionQueue {
 public:
  explicit AdmissionQueue(const AdmissionOptions& options) : options_(options) {}

  // Sequences that can run at once; 0 = no worker is ready. Then call Advance.
  void SetCapacity(uint64_t num_sequences, std::vector<AdmissionOutcome>& refused);

  // Takes it in, or says why not. Then call Advance.
  std::optional<Refusal> Offer(uint64_t id, AdmissionRequest request, absl::Time now,
                               std::vector<AdmissionOutcome>& displaced);
  // What starts now, and what can't start in time any more.
  void Advance(absl::Time now, std::vector<AdmissionOutcome>& outcomes);
  // Withdraws a request that waits; false when it does not.
  bool Withdraw(uint64_t id);
  // Refuses the requests of this request id that wait; false when none does.
  bool Abort(absl::string_view request_id, std::vector<AdmissionOutcome>& refused);
  // A request that started is over. Then call Advance.
  void Ended(uint64_t id, absl::Time now);

  uint32_t num_waiting() const { return static_cast<uint32_t>(waiting_.size()); }
  uint64_t waiting_bytes() const { return waiting_bytes_; }
  uint64_t num_running_sequences() const { return running_sequences_; }
  // From start to end, smoothed; zero before the first.
  absl::Duration service_time() const { return service_time_; }

 private:
  // Precedence within a client: larger priority, then first come.
  using Place = std::pair<int64_t, uint64_t>;  // {-priority, arrival}
  struct Client {
    std::map<Place, uint64_t> waiting;  // ids
    uint64_t waiting_sequences = 0;
    uint32_t running = 0;
    // Sequences started; moved up to that of the last start when it has nothing waiting: turns that
    // it did not take are not saved up.
    uint64_t virtual_time = 0;
  };
  using Clients = std::map<std::string, Client>;
  struct Waiting {
    AdmissionRequest request;
    Place place;
    absl::Time since;
  };
  struct Running {
    std::string client;
    uint32_t num_sequences;
    absl::Time since;
  };

  bool Fits(uint32_t num_sequences) const;
  bool StartsAtOnce(const AdmissionRequest& request) const;
  uint64_t SequencesAhead(const AdmissionRequest& request) const;
  absl::Duration EstimateWait(const AdmissionRequest& request) const;
  // What stands against it besides a full queue.
  std::optional<Refusal> CheckLimits(const AdmissionRequest& request, absl::Time now) const;
  // A place in a full queue; nullopt when there is one or was made.
  std::optional<Refusal> MakeRoom(const AdmissionRequest& request,
                                  std::vector<AdmissionOutcome>& displaced);
  void Insert(uint64_t id, AdmissionRequest request, absl::Time now);
  absl::Time LatestStart(const AdmissionRequest& request, absl::Time since) const;
  std::optional<uint64_t> FindVictim(const AdmissionRequest& newcomer) const;
  Refusal Refuse(RefusalReason reason, std::string message) const;
  Clients::iterator NextClient();
  void TurnAway(uint64_t id, Refusal refusal, std::vector<AdmissionOutcome>& refused);
  AdmissionRequest TakeOut(uint64_t id);
  void ForgetIfIdle(const std::string& client);

  AdmissionOptions options_;
  uint64_t capacity_ = 0;
  uint64_t next_arrival_ = 0;
  uint64_t virtual_time_ = 0;  // of the last start
  uint64_t waiting_sequences_ = 0;
  uint64_t waiting_bytes_ = 0;
  uint64_t running_sequences_ = 0;
  absl::Duration service_time_;
  Clients clients_;  // those with something waiting or running
  absl::flat_hash_map<uint64_t, Waiting> waiting_;
  absl::flat_hash_map<uint64_t, Running> running_;
};

}  // namespace spearfish::server

#endif  // SERVER_ADMISSION_ADMISSION_QUEUE_H_
