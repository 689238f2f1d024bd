// An expert cache in a file: the same bytes as a segment.
#ifndef COMMON_EXPERT_CACHE_CACHE_FILE_H_
#define COMMON_EXPERT_CACHE_CACHE_FILE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/mapped_file.h"
#include "common/expert_cache/cache_builder.h"
#include "common/expert_cache/cache_plan.h"
#include "common/expert_cache/cache_view.h"
#include "common/safetensors/checkpoint.h"

namespace spearfish {

// Packs the checkpoint into `path` with one layer in memory at a time. The file has its name only
// when it is whole and on the disk: written as "PATH.tmp-PID", synced, renamed, its folder synced;
// removed on an error (a kill's leftover by the next build). Replaces an older file.
// ResourceExhausted with both figures when the disk has not enough space, before a byte is written.
absl::Status WriteCacheFile(const Checkpoint& checkpoint, const CachePlan& plan,
                            const std::string& path, uint32_t num_threads,
                            const BuildProgressFn& progress);

// Owns the mapping that its view reads. Immutable, so any thread may read it.
class CacheFile {
 public:
  // Errors as CacheView::Open, naming the path. Does not read the records: see
  // CacheView::VerifyAll.
  static absl::StatusOr<std::unique_ptr<CacheFile>> Open(const std::string& path);

  const CacheView& cache() const { return cache_; }

 private:
  CacheFile(std::unique_ptr<MappedFile> file, const CacheView& cache)
      : file_(std::move(file)), cache_(cache) {}

  const std::unique_ptr<MappedFile> file_;
  const CacheView cache_;
};

}  // namespace spearfish

#endif  // COMMON_EXPERT_CACHE_CACHE_FILE_H_
