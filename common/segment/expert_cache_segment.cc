#include "common/segment/expert_cache_segment.h"

#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/mapped_file.h"
#include "common/base/status_macros.h"
#include "common/expert_cache/cache_plan.h"
#include "common/expert_cache/huge_pages.h"
#include "common/segment/election_lock.h"
#include "common/segment/segment_look.h"
#include "common/segment/segment_populator.h"

namespace spearfish {
namespace {

// How often a waiter looks. Nothing wakes it up: a lock or condition in shared memory would not
// survive a crash of its holder.
constexpr absl::Duration kPollInterval = absl::Milliseconds(20);

// And how often it says that it still waits where nothing changes.
constexpr absl::Duration kRepeatInterval = absl::Seconds(5);

// Tells a waiter's caller what changed.
class WaitProgress {
 public:
  WaitProgress(const SegmentProgressFn& progress, uint32_t num_layers)
      : progress_(progress), num_layers_(num_layers), start_(absl::Now()) {}

  void Report(uint32_t layers_ready) {
    const absl::Time now = absl::Now();
    if (!progress_ || (reported_ == layers_ready && now < repeat_)) return;
    reported_ = layers_ready;
    repeat_ = now + kRepeatInterval;
    progress_({.phase = SegmentPhase::kWaiting,
               .layers_ready = layers_ready,
               .num_layers = num_layers_,
               .waited = now - start_});
  }

 private:
  const SegmentProgressFn& progress_;
  const uint32_t num_layers_;
  const absl::Time start_;
  int64_t reported_ = -1;
  absl::Time repeat_;
};

absl::Status TooLate(const std::string& name, const SegmentLook& look, uint32_t num_layers,
                     absl::Duration timeout) {
  return absl::DeadlineExceededError(
      absl::StrCat("expert cache not ready in time: ", name, " has ", look.layers_ready, " of ",
                   num_layers, " layers after ", absl::FormatDuration(timeout),
                   "; wait longer or look at the process that populates it"));
}

}  // namespace

class ExpertCacheSegment::Mapping {
 public:
  // Maps the segment, which a look found ready.
  static absl::StatusOr<std::unique_ptr<Mapping>> Open(const std::string& path) {
    SF_ASSIGN_OR_RETURN(std::unique_ptr<MappedFile> file, MappedFile::Open(path));
    SF_ASSIGN_OR_RETURN(const CacheView cache,
                        CacheView::Open(TrimToImage(file->bytes(), HugePageBytes(path))));
    return std::make_unique<Mapping>(std::move(file), cache);
  }
  Mapping(std::unique_ptr<MappedFile> file, const CacheView& cache)
      : file_(std::move(file)), cache_(cache) {}

  const MappedFile& file() const { return *file_; }
  const CacheView& cache() const { return cache_; }

 private:
  const std::unique_ptr<MappedFile> file_;
  const CacheView cache_;
};

absl::StatusOr<std::unique_ptr<ExpertCacheSegment>> ExpertCacheSegment::AttachOrPopulate(
    const Checkpoint& checkpoint, const SegmentOptions& options,
    const SegmentProgressFn& progress) {
  SF_ASSIGN_OR_RETURN(const CachePlan plan, CachePlan::FromCheckpoint(checkpoint, options.quant));
  const std::string name = SegmentName(plan.identity());
  const std::string path = absl::StrCat(options.directory, "/", name);
  const auto num_layers = static_cast<uint32_t>(plan.moe_layers().size());
  const absl::Time deadline = absl::Now() + options.timeout;
  WaitProgress waiting(progress, num_layers);
  bool populated_here = false;
  for (;;) {
    SF_ASSIGN_OR_RETURN(SegmentLook look, LookAtSegment(path, plan));
    if (look.ready) {
      absl::StatusOr<std::unique_ptr<Mapping>> mapping = Mapping::Open(path);
      if (absl::IsNotFound(mapping.status())) continue;  // removed since the look
      SF_RETURN_IF_ERROR(mapping.status());
      if (progress) {
        progress(
            {.phase = SegmentPhase::kReady, .layers_ready = num_layers, .num_layers = num_layers});
      }
      return std::unique_ptr<ExpertCacheSegment>(
          new ExpertCacheSegment(name, *std::move(mapping), populated_here));
    }
    SF_ASSIGN_OR_RETURN(const auto lock, ElectionLock::TryAcquire(path));
    if (lock != nullptr) {
      // The holder before may have finished between the look and the lock.
      SF_ASSIGN_OR_RETURN(look, LookAtSegment(path, plan));
      if (look.ready) continue;
      const absl::StatusOr<bool> filled =
          PopulateSegment(checkpoint, plan, options, path, progress);
      if (!filled.ok()) {
        if (access(path.c_str(), F_OK) != 0) lock->RemoveFile();  // refused: leaves nothing behind
        return filled.status();
      }
      populated_here = populated_here || *filled;
      continue;
    }
    waiting.Report(look.layers_ready);
    if (absl::Now() >= deadline) return TooLate(name, look, num_layers, options.timeout);
    absl::SleepFor(kPollInterval);
  }
}

ExpertCacheSegment::ExpertCacheSegment(std::string name, std::unique_ptr<Mapping> mapping,
                                       bool populated_here)
    : name_(std::move(name)), mapping_(std::move(mapping)), populated_here_(populated_here) {}

ExpertCacheSegment::~ExpertCacheSegment() = default;

const CacheView& ExpertCacheSegment::cache() const { return mapping_->cache(); }
const std::string& ExpertCacheSegment::path() const { return mapping_->file().path(); }
uint64_t ExpertCacheSegment::bytes() const { return cache().image().size(); }
std::span<const std::byte> ExpertCacheSegment::mapping() const { return mapping_->file().bytes(); }

}  // namespace spearfish
