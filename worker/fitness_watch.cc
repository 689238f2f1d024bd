#include "worker/fitness_watch.h"

#include <sys/resource.h>

#include <stop_token>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/expert_cache/cache_verifier.h"

namespace spearfish::worker {
namespace {

constexpr int kLowestPriority = 19;

void TellMemory(const MemoryStatus& status, ServingState& state) {
  if (!state.SetMemory(status)) return;
  if (status.low) {
    LogWarning(absl::StrCat("memory low: ", Describe(status),
                            "; admitting nothing until it is back, what runs goes on"));
  } else {
    LogInfo(absl::StrCat("memory is back: ", Describe(status), "; admitting again"));
  }
}

void Verify(const std::stop_token& stop, const ExpertCacheSegment& segment, ServingState& state) {
  setpriority(PRIO_PROCESS, 0, kLowestPriority);  // of this thread; decoding goes first
  const absl::Status status =
      VerifyCache(segment.cache(), {.num_threads = 1, .stop = stop}, nullptr);
  if (absl::IsCancelled(status)) return;
  if (status.ok()) {
    LogInfo("expert cache verified: every checksum is right");
    return;
  }
  LogError(absl::StrCat(status.message(), "; admitting nothing any more (", segment.path(), ")"));
  state.SetDamaged(status);
}

}  // namespace

FitnessWatch::FitnessWatch(const WorkerOptions& options, const ExpertCacheSegment& segment,
                           ServingState& state)
    : memory_(
          {.floor = MemoryFloorOptions::At(options.memory_floor)}, [] { return ReadMemoryPools(); },
          [&state](const MemoryStatus& status) { TellMemory(status, state); }) {
  if (options.verify_cache != VerifyCacheMode::kBackground || segment.populated_here()) return;
  verifier_ = std::jthread(
      [&segment, &state](const std::stop_token& stop) { Verify(stop, segment, state); });
}

}  // namespace spearfish::worker
