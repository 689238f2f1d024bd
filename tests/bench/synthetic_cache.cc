#include "tests/bench/synthetic_cache.h"

#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "tests/bench/hollow_checkpoint.h"

namespace spearfish::bench {

absl::StatusOr<std::unique_ptr<SyntheticCache>> SyntheticCache::Create(
    const tests::SyntheticOptions& options, MemoryCheck memory_check) {
  auto made = std::make_unique<SyntheticCache>();
  SF_RETURN_IF_ERROR(WriteHollowCheckpoint(options, made->dir.path()));
  SF_ASSIGN_OR_RETURN(made->checkpoint, Checkpoint::Open(made->dir.path()));
  const SegmentOptions segment{.directory = made->dir.path()};
  SF_RETURN_IF_ERROR(WriteRandomSegment(*made->checkpoint, segment, memory_check));
  SF_ASSIGN_OR_RETURN(made->segment,
                      ExpertCacheSegment::AttachOrPopulate(*made->checkpoint, segment, nullptr));
  SF_CHECK(!made->segment->populated_here());
  return made;
}

}  // namespace spearfish::bench
