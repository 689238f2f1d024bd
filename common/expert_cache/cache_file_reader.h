// Copies the layers of a packed cache file into memory.
#ifndef COMMON_EXPERT_CACHE_CACHE_FILE_READER_H_
#define COMMON_EXPERT_CACHE_CACHE_FILE_READER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "common/base/ids.h"
#include "common/expert_cache/cache_file.h"
#include "common/expert_cache/cache_plan.h"

namespace spearfish {

// Owns the open file. Immutable after Open, so any thread may read. Records are read, not mapped: a
// file that shrinks meanwhile is an error and no signal.
class CacheFileReader {
 public:
  // Errors as CacheFile::Open; FailedPrecondition unless the file is the cache of `plan`: same
  // checkpoint, format version and quantisation.
  static absl::StatusOr<std::unique_ptr<CacheFileReader>> Open(const std::string& path,
                                                               const CachePlan& plan);
  ~CacheFileReader();
  CacheFileReader(const CacheFileReader&) = delete;
  CacheFileReader& operator=(const CacheFileReader&) = delete;

  // Fills `records` (the plan's layer_bytes) with `num_threads` threads (0 = all cores) and returns
  // the layer's checksum, which is the file's. DataLoss where it isn't, naming file and layer, or
  // where the file ends early.
  absl::StatusOr<uint64_t> ReadLayer(LayerId layer, uint32_t num_threads,
                                     std::span<std::byte> records) const;

 private:
  CacheFileReader(int fd, std::string path, std::unique_ptr<CacheFile> file)
      : fd_(fd), path_(std::move(path)), file_(std::move(file)) {}

  const int fd_;
  const std::string path_;
  const std::unique_ptr<CacheFile> file_;  // of which only header and layer table are touched
};

}  // namespace spearfish

#endif  // COMMON_EXPERT_CACHE_CACHE_FILE_READER_H_
