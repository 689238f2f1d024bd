// Segments as large as real ones, made at the speed of memory: every record is random.
#ifndef TESTS_BENCH_RANDOM_SEGMENT_H_
#define TESTS_BENCH_RANDOM_SEGMENT_H_

#include "absl/status/status.h"
#include "common/safetensors/checkpoint.h"
#include "common/segment/expert_cache_segment.h"

namespace spearfish::bench {

// Makes the checkpoint's segment in options.directory, ready, with valid checksums, but with random
// records instead of the checkpoint's experts: no two are equal, integers are any, scales such that
// weights are about 1 / sqrt(inputs). ExpertCacheSegment::AttachOrPopulate then finds it. Memory is
// taken as it is written, by all threads: a machine that has too little ends the process.
absl::Status WriteRandomSegment(const Checkpoint& checkpoint, const SegmentOptions& options);

}  // namespace spearfish::bench

#endif  // TESTS_BENCH_RANDOM_SEGMENT_H_
