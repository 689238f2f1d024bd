#include "common/segment/expert_cache_segment.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/mapped_file.h"
#include "common/base/status_macros.h"
#include "common/expert_cache/cache_image.h"
#include "common/expert_cache/cache_plan.h"
#include "common/segment/election_lock.h"
#include "common/segment/segment_populator.h"

namespace spearfish {
namespace {

// How often a waiter looks. Nothing wakes it up: a lock or condition in shared memory would not
// survive a crash of its holder.
constexpr absl::Duration kPollInterval = absl::Milliseconds(20);

// What one look at the segment found.
struct Look {
  std::unique_ptr<MappedFile> file;  // null when there is no segment yet
  std::optional<CacheView> cache;    // when it is ready
  uint32_t layers_ready = 0;
};

absl::StatusOr<Look> LookAt(const std::string& path, const CachePlan& plan) {
  Look look;
  absl::StatusOr<std::unique_ptr<MappedFile>> file = MappedFile::Open(path);
  if (absl::IsNotFound(file.status())) return look;
  SF_RETURN_IF_ERROR(file.status());
  look.file = *std::move(file);
  const auto header = CacheHeaderView::Open(look.file->bytes());
  if (!header.ok()) {
    return absl::Status(header.status().code(),
                        absl::StrCat(header.status().message(), " (", path, ")"));
  }
  if (header->header().identity != plan.identity()) {
    return absl::FailedPreconditionError(
        absl::StrCat("segment belongs to another checkpoint: ", path, " holds ",
                     header->header().model_name.data(), ", not ", plan.model_name(),
                     "; remove it with spearfish-pack remove"));
  }
  look.layers_ready = header->num_layers_ready();
  if (header->state() == CacheState::kReady) {
    SF_ASSIGN_OR_RETURN(look.cache, CacheView::Open(look.file->bytes()));
  }
  return look;
}

// Tells a waiter's caller what changed.
class WaitProgress {
 public:
  WaitProgress(const SegmentProgressFn& progress, uint32_t num_layers)
      : progress_(progress), num_layers_(num_layers) {}

  void Report(uint32_t layers_ready) {
    if (!progress_ || reported_ == layers_ready) return;
    reported_ = layers_ready;
    progress_(
        {.phase = SegmentPhase::kWaiting, .layers_ready = layers_ready, .num_layers = num_layers_});
  }

 private:
  const SegmentProgressFn& progress_;
  const uint32_t num_layers_;
  int64_t reported_ = -1;
};

}  // namespace

class ExpertCacheSegment::Mapping {
 public:
  Mapping(std::string name, std::unique_ptr<MappedFile> file, const CacheView& cache,
          bool populated_here)
      : name_(std::move(name)),
        file_(std::move(file)),
        cache_(cache),
        populated_here_(populated_here) {}

  const std::string& name() const { return name_; }
  const CacheView& cache() const { return cache_; }
  uint64_t bytes() const { return file_->bytes().size(); }
  bool populated_here() const { return populated_here_; }

 private:
  const std::string name_;
  const std::unique_ptr<MappedFile> file_;
  const CacheView cache_;
  const bool populated_here_;
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
    SF_ASSIGN_OR_RETURN(Look look, LookAt(path, plan));
    if (look.cache) {
      if (progress) {
        progress(
            {.phase = SegmentPhase::kReady, .layers_ready = num_layers, .num_layers = num_layers});
      }
      return std::unique_ptr<ExpertCacheSegment>(new ExpertCacheSegment(
          std::make_unique<Mapping>(name, std::move(look.file), *look.cache, populated_here)));
    }
    SF_ASSIGN_OR_RETURN(const auto lock, ElectionLock::TryAcquire(path));
    if (lock != nullptr) {
      // The holder before may have finished between the look and the lock.
      SF_ASSIGN_OR_RETURN(look, LookAt(path, plan));
      if (look.cache) continue;
      SF_ASSIGN_OR_RETURN(const bool packed,
                          PopulateSegment(checkpoint, plan, options, path, progress));
      populated_here = populated_here || packed;
      continue;
    }
    waiting.Report(look.layers_ready);
    if (absl::Now() >= deadline) {
      return absl::DeadlineExceededError(
          absl::StrCat("expert cache not ready in time: ", name, " has ", look.layers_ready, " of ",
                       num_layers, " layers after ", absl::FormatDuration(options.timeout),
                       "; wait longer or look at the process that populates it"));
    }
    absl::SleepFor(kPollInterval);
  }
}

ExpertCacheSegment::ExpertCacheSegment(std::unique_ptr<Mapping> mapping)
    : mapping_(std::move(mapping)) {}

ExpertCacheSegment::~ExpertCacheSegment() = default;

const CacheView& ExpertCacheSegment::cache() const { return mapping_->cache(); }
const std::string& ExpertCacheSegment::name() const { return mapping_->name(); }
uint64_t ExpertCacheSegment::bytes() const { return mapping_->bytes(); }
bool ExpertCacheSegment::populated_here() const { return mapping_->populated_here(); }

}  // namespace spearfish
