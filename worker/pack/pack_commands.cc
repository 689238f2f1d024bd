#include "worker/pack/pack_commands.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/bytes.h"
#include "common/base/mapped_file.h"
#include "common/base/status_macros.h"
#include "common/expert_cache/cache_file.h"
#include "common/expert_cache/cache_image.h"
#include "common/expert_cache/cache_plan.h"
#include "common/expert_cache/cache_verifier.h"
#include "common/safetensors/checkpoint.h"
#include "common/segment/bus_error_message.h"
#include "common/segment/expert_cache_segment.h"
#include "worker/pack/expert_dump.h"
#include "worker/pack/progress_bar.h"

namespace spearfish::worker {
namespace {

// Where a NAME lies. A segment's name has no slash, so a path always wins where it has one.
struct Place {
  std::string path;
  bool is_segment;
};

Place PlaceOf(const PackOptions& options) {
  const std::string in_shm = absl::StrCat(options.shm_dir, "/", options.name);
  const bool is_segment = absl::StartsWith(options.name, "spearfish-") &&
                          !absl::StrContains(options.name, "/") &&
                          access(options.name.c_str(), F_OK) != 0;
  return is_segment ? Place{in_shm, true} : Place{options.name, false};
}

// Bytes that the experts have in the checkpoint: what packing reads.
absl::StatusOr<uint64_t> ExpertBytes(const Checkpoint& checkpoint, const CachePlan& plan) {
  SF_ASSIGN_OR_RETURN(const ExpertWeights first,
                      checkpoint.Expert(plan.moe_layers().front(), ExpertId{0}));
  const uint64_t bytes = first.gate.bytes.size() + first.up.bytes.size() + first.down.bytes.size();
  return bytes * plan.num_experts() * plan.moe_layers().size();
}

// What was read how fast: the checkpoint's weights, or a cache file.
struct Work {
  uint64_t bytes = 0;
  std::string what;
  absl::Duration time;
};

void PrintBuilt(const CachePlan& plan, const std::string& where, const Work& work) {
  const double seconds = absl::ToDoubleSeconds(work.time);
  absl::PrintF("%s: %d bytes, %d layers of %d experts, %d bits, %s; %.1f s, %.3f GB/s of %s\n",
               where, plan.image_bytes(), plan.moe_layers().size(), plan.num_experts(),
               plan.quant().bits, plan.quant().scale == ScaleMode::kMse ? "mse" : "absmax", seconds,
               static_cast<double>(work.bytes) / 1e9 / seconds, work.what);
}

std::string PhaseText(SegmentPhase phase, const PackOptions& options) {
  if (phase == SegmentPhase::kWaiting) return "waiting";
  return phase == SegmentPhase::kReading ? absl::StrCat("reading ", options.from) : "packing";
}

void ExplainTruncation(const std::string& path) {
  ExplainBusErrors(absl::StrCat("spearfish-pack: ", path,
                                " was truncated while it was mapped; remove it with spearfish-pack "
                                "remove and build it again"));
}

}  // namespace

absl::Status BuildFile(const PackOptions& options) {
  SF_ASSIGN_OR_RETURN(const auto checkpoint, Checkpoint::Open(options.checkpoint));
  SF_ASSIGN_OR_RETURN(const CachePlan plan, CachePlan::FromCheckpoint(*checkpoint, options.quant));
  const absl::Time start = absl::Now();
  {
    ProgressBar bar;
    bar.Show("packing", 0, static_cast<uint32_t>(plan.moe_layers().size()));
    SF_RETURN_IF_ERROR(WriteCacheFile(
        *checkpoint, plan, options.out, options.num_threads,
        [&](const BuildProgress& p) { bar.Show("packing", p.layers_done, p.num_layers); }));
  }
  SF_ASSIGN_OR_RETURN(const uint64_t weights, ExpertBytes(*checkpoint, plan));
  PrintBuilt(plan, options.out, {weights, "weights", absl::Now() - start});
  return absl::OkStatus();
}

absl::Status BuildSegment(const PackOptions& options) {
  SF_ASSIGN_OR_RETURN(const auto checkpoint, Checkpoint::Open(options.checkpoint));
  SF_ASSIGN_OR_RETURN(const CachePlan plan, CachePlan::FromCheckpoint(*checkpoint, options.quant));
  const SegmentOptions segment_options{.directory = options.shm_dir,
                                       .quant = options.quant,
                                       .cache_file = options.from,
                                       .num_threads = options.num_threads,
                                       .timeout = options.segment_timeout};
  ExplainTruncation(absl::StrCat(options.shm_dir, "/", SegmentName(plan.identity())));
  const absl::Time start = absl::Now();
  std::unique_ptr<ExpertCacheSegment> segment;
  {
    ProgressBar bar;
    SF_ASSIGN_OR_RETURN(segment, ExpertCacheSegment::AttachOrPopulate(
                                     *checkpoint, segment_options, [&](const SegmentProgress& p) {
                                       bar.Show(PhaseText(p.phase, options), p.layers_ready,
                                                p.num_layers);
                                     }));
  }
  if (!segment->populated_here()) {
    absl::PrintF("%s: ready already, %d bytes\n", segment->name(), segment->bytes());
    return absl::OkStatus();
  }
  Work work{plan.image_bytes(), options.from, absl::Now() - start};
  if (options.from.empty()) {
    work.what = "weights";
    SF_ASSIGN_OR_RETURN(work.bytes, ExpertBytes(*checkpoint, plan));
  }
  PrintBuilt(plan, segment->name(), work);
  return absl::OkStatus();
}

absl::Status List(const PackOptions& options) {
  SF_ASSIGN_OR_RETURN(const auto segments, ListSegments(options.shm_dir));
  absl::PrintF("%-26s  %-32s  %4s  %12s  %s\n", "NAME", "MODEL", "BITS", "SIZE", "STATE");
  for (const SegmentInfo& segment : segments) {
    absl::PrintF("%-26s  %-32s  %4d  %12s  %s\n", segment.name, segment.model_name, segment.bits,
                 FormatBytes(segment.bytes), segment.state);
  }
  return absl::OkStatus();
}

absl::Status Verify(const PackOptions& options) {
  const std::string path = PlaceOf(options).path;
  SF_ASSIGN_OR_RETURN(const auto file, CacheFile::Open(path));
  ExplainTruncation(path);
  const CacheView& cache = file->cache();
  {
    ProgressBar bar;
    SF_RETURN_IF_ERROR(VerifyCache(
        cache, {.num_threads = options.num_threads, .stop = {}},
        [&bar](uint32_t done, uint32_t num_layers) { bar.Show("verifying", done, num_layers); }));
  }
  absl::PrintF("%s: good, %d bytes, %s, %d layers of %d experts, %d bits, %s\n", options.name,
               cache.image().size(), cache.model_name(), cache.num_moe_layers(),
               cache.num_experts(), cache.quant().bits,
               cache.quant().scale == ScaleMode::kMse ? "mse" : "absmax");
  return absl::OkStatus();
}

absl::Status Remove(const PackOptions& options) {
  const Place place = PlaceOf(options);
  if (place.is_segment) {
    SF_RETURN_IF_ERROR(RemoveSegment(options.shm_dir, options.name));
  } else {
    // A damaged cache may go; a file that isn't one must not.
    SF_ASSIGN_OR_RETURN(const auto file, MappedFile::Open(place.path));
    const absl::Status status = CacheHeaderView::Open(file->bytes()).status();
    if (absl::IsInvalidArgument(status)) {
      return absl::InvalidArgumentError(
          absl::StrCat("will not remove ", place.path, ": ", status.message()));
    }
    if (unlink(place.path.c_str()) != 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot remove ", place.path));
    }
  }
  absl::PrintF("%s: removed\n", options.name);
  return absl::OkStatus();
}

absl::Status Dump(const PackOptions& options) {
  SF_ASSIGN_OR_RETURN(const auto file, CacheFile::Open(PlaceOf(options).path));
  SF_RETURN_IF_ERROR(DumpExpert(
      file->cache(),
      {.layer = LayerId{options.layer}, .expert = ExpertId{options.expert}, .path = options.out}));
  absl::PrintF("%s: layer %d, expert %d of %s\n", options.out, options.layer, options.expert,
               file->cache().model_name());
  return absl::OkStatus();
}

}  // namespace spearfish::worker
