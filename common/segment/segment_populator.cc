#include "common/segment/segment_populator.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <boost/interprocess/exceptions.hpp>
#include <boost/interprocess/file_mapping.hpp>
#include <boost/interprocess/mapped_region.hpp>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <span>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/expert_cache/cache_builder.h"
#include "common/expert_cache/cache_image.h"
#include "common/segment/memory_guard.h"

namespace spearfish {
namespace {

namespace ipc = boost::interprocess;

absl::StatusOr<ipc::mapped_region> MapWritable(const std::string& path) {
  try {
    const ipc::file_mapping file(path.c_str(), ipc::read_write);
    return ipc::mapped_region(file, ipc::read_write);
  } catch (const ipc::interprocess_exception& error) {
    return absl::UnavailableError(
        absl::StrCat("cannot map segment ", path, ": ", error.what(), "; check its permissions"));
  }
}

std::span<std::byte> BytesOf(const ipc::mapped_region& region) {
  return {static_cast<std::byte*>(region.get_address()), region.get_size()};
}

absl::Status Allocate(const std::string& path, uint64_t bytes) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot create segment ", path));
  const absl::Cleanup close_fd = [fd] { close(fd); };
  int error = 0;
  do {
    error = posix_fallocate(fd, 0, static_cast<off_t>(bytes));
  } while (error == EINTR);
  if (error == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(
      error, absl::StrCat("cannot allocate ", bytes, " bytes for segment ", path, "; free memory"));
}

absl::Status CreateSegment(const CachePlan& plan, const SegmentOptions& options,
                           const std::string& path) {
  const std::string unfinished = UnfinishedSegmentPath(path);
  unlink(unfinished.c_str());  // a dead creator's, whose memory counts as free again
  SF_ASSIGN_OR_RETURN(const MemoryFigures figures, ReadMemoryFigures(options.directory));
  SF_RETURN_IF_ERROR(
      CheckMemory(plan.image_bytes(), figures, options.memory_margin, options.directory));
  absl::Cleanup remove = [&unfinished] { unlink(unfinished.c_str()); };
  SF_RETURN_IF_ERROR(Allocate(unfinished, plan.image_bytes()));
  SF_ASSIGN_OR_RETURN(const ipc::mapped_region region, MapWritable(unfinished));
  std::ranges::copy(NewHeaderBytes(plan), BytesOf(region).begin());
  if (rename(unfinished.c_str(), path.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot name segment ", path));
  }
  std::move(remove).Cancel();
  return absl::OkStatus();
}

// Packs what isn't ready yet. Returns whether there was anything to pack.
absl::StatusOr<bool> FillLayers(const Checkpoint& checkpoint, const CachePlan& plan,
                                const SegmentOptions& options, std::span<std::byte> image,
                                const SegmentProgressFn& progress) {
  SF_ASSIGN_OR_RETURN(const CacheHeaderView header, CacheHeaderView::Open(image));
  CacheImageWriter writer(image);
  SegmentProgress done{.phase = SegmentPhase::kPopulating,
                       .layers_ready = 0,
                       .num_layers = static_cast<uint32_t>(plan.moe_layers().size())};
  if (progress) progress(done);
  bool packed = false;
  for (const LayerId layer : plan.moe_layers()) {
    const auto records = image.subspan(plan.layer_offset(layer), plan.layer_bytes());
    const bool ready =
        header.layer_ready(layer) && header.layers()[Index(layer)].checksum ==
                                         LayerChecksum(records, plan.layout().record_bytes);
    if (!ready) {
      writer.ClearLayerReady(layer);
      SF_ASSIGN_OR_RETURN(const uint64_t checksum,
                          PackLayer(checkpoint, plan, layer, options.num_threads, records));
      writer.StoreLayerReady(layer, checksum);
      packed = true;
    }
    ++done.layers_ready;
    if (progress) progress(done);
  }
  return packed;
}

}  // namespace

std::string UnfinishedSegmentPath(const std::string& segment_path) {
  return absl::StrCat(segment_path, ".new");
}

absl::StatusOr<bool> PopulateSegment(const Checkpoint& checkpoint, const CachePlan& plan,
                                     const SegmentOptions& options, const std::string& segment_path,
                                     const SegmentProgressFn& progress) {
  if (access(segment_path.c_str(), F_OK) != 0) {
    SF_RETURN_IF_ERROR(CreateSegment(plan, options, segment_path));
  }
  SF_ASSIGN_OR_RETURN(const ipc::mapped_region region, MapWritable(segment_path));
  SF_RETURN_IF_ERROR(CacheHeaderView::Open(BytesOf(region)).status());
  CacheImageWriter writer(BytesOf(region));
  writer.StoreState(CacheState::kPopulating);
  absl::StatusOr<bool> packed = FillLayers(checkpoint, plan, options, BytesOf(region), progress);
  writer.StoreState(packed.ok() ? CacheState::kReady : CacheState::kFailed);
  return packed;
}

}  // namespace spearfish
