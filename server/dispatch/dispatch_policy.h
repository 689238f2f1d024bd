// Which worker gets the next request. Pure: no gRPC, no clock, no lock.
#ifndef SERVER_DISPATCH_DISPATCH_POLICY_H_
#define SERVER_DISPATCH_DISPATCH_POLICY_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace spearfish::server {

struct WorkerCandidate {
  bool ready = false;
  bool excluded = false;   // already tried by this request
  uint32_t in_flight = 0;  // requests this gateway has there now
  uint32_t reported = 0;   // running + waiting sequences, as the worker last said
};

// The ready candidate with the least work; nullopt when there is none. A report is up to a poll
// interval old and counts everybody's requests, in_flight is exact and counts our own: the larger
// of the two is the estimate. Ties go to the first at or after `turn` (mod the number of
// candidates), so that a rising `turn` spreads requests over idle workers.
std::optional<size_t> PickLeastLoaded(std::span<const WorkerCandidate> candidates, uint64_t turn);

}  // namespace spearfish::server

#endif  // SERVER_DISPATCH_DISPATCH_POLICY_H_
