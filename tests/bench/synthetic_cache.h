// A hollow checkpoint and its random segment, attached as a worker does.
#ifndef TESTS_BENCH_SYNTHETIC_CACHE_H_
#define TESTS_BENCH_SYNTHETIC_CACHE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "common/safetensors/checkpoint.h"
#include "common/segment/expert_cache_segment.h"
#include "tests/bench/random_segment.h"
#include "tests/support/synthetic_checkpoint.h"
#include "tests/support/temp_dir.h"

namespace spearfish::bench {

// Owns everything, the files in the temporary folder (TMPDIR: in memory, please) included; members
// are destroyed in reverse.
struct SyntheticCache {
  static absl::StatusOr<std::unique_ptr<SyntheticCache>> Create(
      const tests::SyntheticOptions& options, MemoryCheck memory_check);

  tests::TempDir dir;
  std::unique_ptr<Checkpoint> checkpoint;
  std::unique_ptr<ExpertCacheSegment> segment;  // INT4
};

}  // namespace spearfish::bench

#endif  // TESTS_BENCH_SYNTHETIC_CACHE_H_
