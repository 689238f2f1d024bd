// How a worker comes by the host's expert cache.
#ifndef WORKER_SEGMENT_OPENING_H_
#define WORKER_SEGMENT_OPENING_H_

#include <memory>

#include "absl/status/statusor.h"
#include "common/safetensors/checkpoint.h"
#include "common/segment/expert_cache_segment.h"
#include "worker/worker_options.h"

namespace spearfish::worker {

// Attaches or populates, with progress in the log; with --verify-cache=before, recomputes every
// checksum of a segment that was found ready (DataLoss with the remedy). From here on a segment
// that is truncated under this process ends it with a line that says so.
absl::StatusOr<std::unique_ptr<ExpertCacheSegment>> OpenSegment(const Checkpoint& checkpoint,
                                                                const WorkerOptions& options);

}  // namespace spearfish::worker

#endif  // WORKER_SEGMENT_OPENING_H_
