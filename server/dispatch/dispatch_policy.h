// Which worker gets the next request. Pure: no gRPC, no clock, no lock.
#ifndef SERVER_DISPATCH_DISPATCH_POLICY_H_
#define SERVER_DISPATCH_DISPATCH_POLICY_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spearfish::server {

enum class DispatchPolicy {
  kLeastWork,        // the least loaded of all
  kPowerOfTwo,       // the less loaded of two at random: no herd when many gateways see one report
  kPrefixAffinity,   // prompts that begin alike go to one worker, unless it is overloaded
  kSessionAffinity,  // likewise requests of one session_id
};

// "least-work", "power-of-two", "prefix-affinity", "session-affinity"; else InvalidArgument.
absl::StatusOr<DispatchPolicy> ParseDispatchPolicy(absl::string_view name);

struct WorkerCandidate {
  bool ready = false;
  bool excluded = false;  // tried by this request already
  uint32_t load = 0;      // sequences there
  uint32_t capacity = 0;  // that can run at once; 0 = not known, taken for 1
  uint64_t hash = 0;      // of its address
};

struct DispatchRequest {
  uint64_t affinity_key = 0;  // of its prefix or session; 0 = none
  uint64_t turn = 0;          // rises from request to request
  uint64_t random = 0;
  // With affinity no worker gets more than so many times its share of the load.
  double load_factor = 1.25;
};

// Sequences at a worker now. A report is up to a poll interval old and counts everybody's, ours at
// that time among them; in_flight is exact and counts ours.
uint32_t EstimateLoad(uint32_t reported, uint32_t in_flight_at_report, uint32_t in_flight);

// The index of a candidate that is ready and not excluded; nullopt when there is none.
std::optional<size_t> PickWorker(DispatchPolicy policy, std::span<const WorkerCandidate> candidates,
                                 const DispatchRequest& request);

// Least load per capacity. Ties go to the first at or after `turn` (mod the number of candidates),
// so that a rising `turn` spreads requests over idle workers.
std::optional<size_t> PickLeastWork(std::span<const WorkerCandidate> candidates, uint64_t turn);

// Of two candidates at random (all when there are fewer) the one with the least load per capacity.
std::optional<size_t> PickPowerOfTwo(std::span<const WorkerCandidate> candidates, uint64_t random);

// Rendezvous hashing with bounded loads: the candidates in the order that the key gives them (a
// worker more or less moves only its own keys); the first whose load with this request is at most
// load_factor times its share of all load.
std::optional<size_t> PickByKey(std::span<const WorkerCandidate> candidates, uint64_t key,
                                double load_factor);

}  // namespace spearfish::server

#endif  // SERVER_DISPATCH_DISPATCH_POLICY_H_
