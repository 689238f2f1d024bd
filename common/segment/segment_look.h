// What one look at a segment finds, without mapping it.
#ifndef COMMON_SEGMENT_SEGMENT_LOOK_H_
#define COMMON_SEGMENT_SEGMENT_LOOK_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "common/expert_cache/cache_plan.h"

namespace spearfish {

struct SegmentLook {
  bool exists = false;
  bool ready = false;
  uint32_t layers_ready = 0;
};

// Reads length, header and layer table with read(2), so that a segment that shrinks meanwhile is an
// error and never SIGBUS, and checks them anew each time. DataLoss for a damaged or truncated
// segment, FailedPrecondition for another format version or another checkpoint's, each with the
// remedy.
absl::StatusOr<SegmentLook> LookAtSegment(const std::string& path, const CachePlan& plan);

}  // namespace spearfish

#endif  // COMMON_SEGMENT_SEGMENT_LOOK_H_
