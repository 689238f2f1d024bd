#include "worker/segment_opening.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/expert_cache/cache_plan.h"
#include "common/expert_cache/cache_verifier.h"
#include "common/segment/bus_error_message.h"

namespace spearfish::worker {
namespace {

constexpr absl::Duration kLineInterval = absl::Seconds(1);

std::string ProgressLine(const SegmentProgress& progress, const WorkerOptions& options) {
  const std::string layers =
      absl::StrFormat("%d of %d layers", progress.layers_ready, progress.num_layers);
  switch (progress.phase) {
    case SegmentPhase::kWaiting:
      return absl::StrCat("waiting for the process that populates the expert cache: ", layers,
                          " after ",
                          absl::FormatDuration(absl::Trunc(progress.waited, absl::Seconds(1))));
    case SegmentPhase::kReading:
      return absl::StrCat("reading experts from ", options.cache_file, ": ", layers);
    case SegmentPhase::kPopulating:
    case SegmentPhase::kReady:
      break;
  }
  return absl::StrCat("quantising experts: ", layers);
}

SegmentOptions SegmentOptionsOf(const WorkerOptions& options) {
  SegmentOptions segment;
  segment.directory = options.shm_dir;
  segment.quant = options.quant;
  segment.cache_file = options.cache_file;
  segment.num_threads = options.threads;
  segment.timeout = options.segment_timeout;
  return segment;
}

absl::Status ExplainTruncation(const Checkpoint& checkpoint, const WorkerOptions& options) {
  SF_ASSIGN_OR_RETURN(const CachePlan plan, CachePlan::FromCheckpoint(checkpoint, options.quant));
  const std::string name = SegmentName(plan.identity());
  ExplainBusErrors(absl::StrCat(
      "spearfish-worker: expert cache truncated while it was mapped: ", options.shm_dir, "/", name,
      "; ending, remove it with spearfish-pack remove ", name, " --shm-dir=", options.shm_dir));
  return absl::OkStatus();
}

absl::Status Verify(const ExpertCacheSegment& segment, const WorkerOptions& options) {
  const absl::Time start = absl::Now();
  SF_RETURN_IF_ERROR(
      VerifyCache(segment.cache(), {.num_threads = options.threads, .stop = {}}, nullptr));
  LogInfo(absl::StrFormat("expert cache verified in %.1f s",
                          absl::ToDoubleSeconds(absl::Now() - start)));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<ExpertCacheSegment>> OpenSegment(const Checkpoint& checkpoint,
                                                                const WorkerOptions& options) {
  SF_RETURN_IF_ERROR(ExplainTruncation(checkpoint, options));
  absl::Time next_line = absl::InfinitePast();
  SF_ASSIGN_OR_RETURN(
      std::unique_ptr<ExpertCacheSegment> segment,
      ExpertCacheSegment::AttachOrPopulate(
          checkpoint, SegmentOptionsOf(options), [&](const SegmentProgress& progress) {
            const absl::Time now = absl::Now();
            if (progress.phase == SegmentPhase::kReady || now < next_line) return;
            next_line = now + kLineInterval;
            LogInfo(ProgressLine(progress, options));
          }));
  const bool known = segment->populated_here();  // computed or compared just now
  if (options.verify_cache == VerifyCacheMode::kBefore && !known) {
    SF_RETURN_IF_ERROR(Verify(*segment, options));
  }
  return segment;
}

}  // namespace spearfish::worker
