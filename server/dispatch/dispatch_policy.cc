#include "server/dispatch/dispatch_policy.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"

namespace spearfish::server {
namespace {

bool IsOpen(const WorkerCandidate& candidate) { return candidate.ready && !candidate.excluded; }

uint64_t Capacity(const WorkerCandidate& candidate) {
  return std::max<uint64_t>(1, candidate.capacity);
}

// Load per capacity, compared without dividing.
bool LessLoaded(const WorkerCandidate& a, const WorkerCandidate& b) {
  return a.load * Capacity(b) < b.load * Capacity(a);
}

// splitmix64's finaliser: the same in every gateway, so that all agree on who gets a key.
uint64_t Mix(uint64_t a, uint64_t b) {
  uint64_t x = a ^ (b + 0x9e3779b97f4a7c15u);
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

std::vector<size_t> OpenOnes(std::span<const WorkerCandidate> candidates) {
  std::vector<size_t> open;
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (IsOpen(candidates[i])) open.push_back(i);
  }
  return open;
}

}  // namespace

absl::StatusOr<DispatchPolicy> ParseDispatchPolicy(absl::string_view name) {
  if (name == "least-work") return DispatchPolicy::kLeastWork;
  if (name == "power-of-two") return DispatchPolicy::kPowerOfTwo;
  if (name == "prefix-affinity") return DispatchPolicy::kPrefixAffinity;
  if (name == "session-affinity") return DispatchPolicy::kSessionAffinity;
  return absl::InvalidArgumentError(
      absl::StrCat("unknown dispatch policy: '", name,
                   "'; --policy is least-work, power-of-two, prefix-affinity or session-affinity"));
}

uint32_t EstimateLoad(uint32_t reported, uint32_t in_flight_at_report, uint32_t in_flight) {
  const uint32_t others = reported - std::min(reported, in_flight_at_report);
  return others + in_flight;
}

std::optional<size_t> PickWorker(DispatchPolicy policy, std::span<const WorkerCandidate> candidates,
                                 const DispatchRequest& request) {
  switch (policy) {
    case DispatchPolicy::kLeastWork:
      break;
    case DispatchPolicy::kPowerOfTwo:
      return PickPowerOfTwo(candidates, request.random);
    case DispatchPolicy::kPrefixAffinity:
    case DispatchPolicy::kSessionAffinity:
      if (request.affinity_key == 0) break;
      return PickByKey(candidates, request.affinity_key, request.load_factor);
  }
  return PickLeastWork(candidates, request.turn);
}

std::optional<size_t> PickLeastWork(std::span<const WorkerCandidate> candidates, uint64_t turn) {
  std::optional<size_t> best;
  for (size_t step = 0; step < candidates.size(); ++step) {
    const size_t index = (turn + step) % candidates.size();
    if (!IsOpen(candidates[index])) continue;
    if (!best || LessLoaded(candidates[index], candidates[*best])) best = index;
  }
  return best;
}

std::optional<size_t> PickPowerOfTwo(std::span<const WorkerCandidate> candidates, uint64_t random) {
  const std::vector<size_t> open = OpenOnes(candidates);
  if (open.empty()) return std::nullopt;
  const size_t first = (random >> 32) % open.size();
  if (open.size() == 1) return open[first];
  const size_t second = (first + 1 + (random & 0xffffffffu) % (open.size() - 1)) % open.size();
  return LessLoaded(candidates[open[second]], candidates[open[first]]) ? open[second] : open[first];
}

std::optional<size_t> PickByKey(std::span<const WorkerCandidate> candidates, uint64_t key,
                                double load_factor) {
  std::vector<size_t> open = OpenOnes(candidates);
  if (open.empty()) return std::nullopt;
  uint64_t load = 1;  // with this request
  uint64_t capacity = 0;
  for (const size_t i : open) {
    load += candidates[i].load;
    capacity += Capacity(candidates[i]);
  }
  std::sort(open.begin(), open.end(), [&](size_t a, size_t b) {
    return Mix(key, candidates[a].hash) > Mix(key, candidates[b].hash);
  });
  for (const size_t i : open) {
    const double share = static_cast<double>(load) * static_cast<double>(Capacity(candidates[i])) /
                         static_cast<double>(capacity);
    if (candidates[i].load + 1 <= std::ceil(load_factor * share)) return i;
  }
  // Rounding aside, some worker is always within its share.
  return open.front();
}

}  // namespace spearfish::server
