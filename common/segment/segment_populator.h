// Fills a segment, from nothing or from where a dead populator left it.
#ifndef COMMON_SEGMENT_SEGMENT_POPULATOR_H_
#define COMMON_SEGMENT_SEGMENT_POPULATOR_H_

#include <string>

#include "absl/status/statusor.h"
#include "common/expert_cache/cache_plan.h"
#include "common/safetensors/checkpoint.h"
#include "common/segment/expert_cache_segment.h"

namespace spearfish {

// What a segment that has no header yet is called. Only the holder of the election lock touches it.
std::string UnfinishedSegmentPath(const std::string& segment_path);

// The caller holds the election lock of `segment_path`. A new segment gets its memory (checked
// first, then allocated whole so that no later write can fail) and its header under another name
// and is renamed: whoever finds the segment finds a valid header. An existing one is continued:
// ready layers are verified, all others quantised or read from options.cache_file, which is checked
// before anything is allocated; there is no falling back from one source to the other. Returns
// whether a layer was filled. On an error while filling the state becomes failed and the memory
// stays for a successor. A ready segment's file can't be written any more (mode 0444).
absl::StatusOr<bool> PopulateSegment(const Checkpoint& checkpoint, const CachePlan& plan,
                                     const SegmentOptions& options, const std::string& segment_path,
                                     const SegmentProgressFn& progress);

}  // namespace spearfish

#endif  // COMMON_SEGMENT_SEGMENT_POPULATOR_H_
