// Segments as large as real ones, made at the speed of memory: every record is random.
#ifndef TESTS_BENCH_RANDOM_SEGMENT_H_
#define TESTS_BENCH_RANDOM_SEGMENT_H_

#include "absl/status/status.h"
#include "common/safetensors/checkpoint.h"
#include "common/segment/expert_cache_segment.h"

namespace spearfish::bench {

// kOff is for machines whose memory grows as it is used, so that MemAvailable says too little.
enum class MemoryCheck { kOn, kOff };

// Makes the checkpoint's segment in options.directory, ready, with valid checksums, but with random
// records instead of the checkpoint's experts: no two are equal, integers are any, scales such that
// weights are about 1 / sqrt(inputs). ExpertCacheSegment::AttachOrPopulate then finds it. Memory is
// taken as it is written, by all threads; ResourceExhausted when the memory guard says that there
// is too little of it, unless it is not asked.
absl::Status WriteRandomSegment(const Checkpoint& checkpoint, const SegmentOptions& options,
                                MemoryCheck memory_check);

}  // namespace spearfish::bench

#endif  // TESTS_BENCH_RANDOM_SEGMENT_H_
