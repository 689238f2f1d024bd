// The expert cache of one checkpoint in named shared memory, once per host.
#ifndef COMMON_SEGMENT_EXPERT_CACHE_SEGMENT_H_
#define COMMON_SEGMENT_EXPERT_CACHE_SEGMENT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/expert_cache/cache_view.h"
#include "common/expert_cache/record_layout.h"
#include "common/safetensors/checkpoint.h"

namespace spearfish {

struct SegmentOptions {
  std::string directory = "/dev/shm";  // of segments and lock files: tmpfs, hugetlbfs, any other
  QuantOptions quant = {};             // used when this process is the one that populates
  std::string cache_file = {};         // then packed before: read it; empty = quantise
  uint32_t num_threads = 0;            // for populating; 0 = all cores
  double memory_margin = 0.08;         // share of memory the guard leaves free
  absl::Duration timeout = absl::InfiniteDuration();  // of waiting for another populator
};

// kPopulating: quantising the checkpoint; kReading: the cache file.
enum class SegmentPhase { kWaiting, kPopulating, kReading, kReady };

struct SegmentProgress {
  SegmentPhase phase = SegmentPhase::kWaiting;
  uint32_t layers_ready = 0;
  uint32_t num_layers = 0;
  absl::Duration waited = absl::ZeroDuration();  // so far, for another populator
};
// A waiter's is called at each change and every few seconds; the populator's after each layer.
using SegmentProgressFn = std::function<void(const SegmentProgress&)>;

// Owns a read-only mapping. Immutable, so any thread may read it. The segment itself outlives the
// process; RemoveSegment deletes it.
class ExpertCacheSegment {
 public:
  // Attaches to the checkpoint's segment, and populates it first if nobody has (design: election by
  // file lock; the others wait). ResourceExhausted with both figures when memory does not suffice;
  // FailedPrecondition on a foreign identity or format version, of the segment or of the cache
  // file; DataLoss for a damaged or truncated one; DeadlineExceeded after the timeout.
  //
  // Checked on attaching: length, header and layer table. The records' checksums are not: their
  // populator computed them, and reading everything again would take as long as loading. Whoever
  // wants to know runs VerifyCache (cache_verifier.h) over cache().
  static absl::StatusOr<std::unique_ptr<ExpertCacheSegment>> AttachOrPopulate(
      const Checkpoint& checkpoint, const SegmentOptions& options,
      const SegmentProgressFn& progress);

  ~ExpertCacheSegment();
  ExpertCacheSegment(const ExpertCacheSegment&) = delete;
  ExpertCacheSegment& operator=(const ExpertCacheSegment&) = delete;

  const CacheView& cache() const;
  const std::string& name() const { return name_; }  // "spearfish-0123456789abcdef"
  const std::string& path() const;
  uint64_t bytes() const;  // of the image
  // All that is mapped: on hugetlbfs up to the end of the last page.
  std::span<const std::byte> mapping() const;
  bool populated_here() const { return populated_here_; }  // filled at least one layer

 private:
  class Mapping;
  ExpertCacheSegment(std::string name, std::unique_ptr<Mapping> mapping, bool populated_here);

  const std::string name_;
  const std::unique_ptr<Mapping> mapping_;
  const bool populated_here_;
};

struct SegmentInfo {
  std::string name;
  std::string model_name;
  uint64_t bytes = 0;
  std::string state;  // "ready", "populating 12/48", "failed", "unreadable: ..."
  uint32_t bits = 0;
};

absl::StatusOr<std::vector<SegmentInfo>> ListSegments(const std::string& directory);
absl::Status VerifySegment(const std::string& directory, const std::string& name);
// NotFound if there is none. Processes that have it mapped keep their mapping.
absl::Status RemoveSegment(const std::string& directory, const std::string& name);

}  // namespace spearfish

#endif  // COMMON_SEGMENT_EXPERT_CACHE_SEGMENT_H_
