#include "common/segment/segment_populator.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/interprocess/exceptions.hpp>
#include <boost/interprocess/file_mapping.hpp>
#include <boost/interprocess/mapped_region.hpp>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <memory>
#include <span>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/expert_cache/cache_builder.h"
#include "common/expert_cache/cache_file_reader.h"
#include "common/expert_cache/cache_image.h"
#include "common/expert_cache/huge_pages.h"
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
  const uint64_t bytes = FileBytes(plan.image_bytes(), HugePageBytes(options.directory));
  SF_RETURN_IF_ERROR(CheckMemory(bytes, figures, options.memory_margin));
  absl::Cleanup remove = [&unfinished] { unlink(unfinished.c_str()); };
  SF_RETURN_IF_ERROR(Allocate(unfinished, bytes));
  SF_ASSIGN_OR_RETURN(const ipc::mapped_region region, MapWritable(unfinished));
  std::ranges::copy(NewHeaderBytes(plan), BytesOf(region).begin());
  if (rename(unfinished.c_str(), path.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot name segment ", path));
  }
  std::move(remove).Cancel();
  return absl::OkStatus();
}

// Writes one layer's records and returns their checksum.
using FillLayerFn = std::function<absl::StatusOr<uint64_t>(LayerId, std::span<std::byte>)>;

// Where the records come from.
struct Source {
  SegmentPhase phase;
  FillLayerFn fill;
};

absl::StatusOr<Source> OpenSource(const Checkpoint& checkpoint, const CachePlan& plan,
                                  const SegmentOptions& options) {
  const uint32_t num_threads = options.num_threads;
  if (options.cache_file.empty()) {
    return Source{SegmentPhase::kPopulating,
                  [&checkpoint, &plan, num_threads](LayerId layer, std::span<std::byte> records) {
                    return PackLayer(checkpoint, plan, layer, num_threads, records);
                  }};
  }
  SF_ASSIGN_OR_RETURN(auto opened, CacheFileReader::Open(options.cache_file, plan));
  // Shared because std::function must be copyable.
  const std::shared_ptr<const CacheFileReader> file = std::move(opened);
  return Source{SegmentPhase::kReading,
                [file, num_threads](LayerId layer, std::span<std::byte> records) {
                  return file->ReadLayer(layer, num_threads, records);
                }};
}

// Fills what isn't ready yet. Returns whether there was anything to fill.
absl::StatusOr<bool> FillLayers(const CachePlan& plan, const Source& source, uint32_t num_threads,
                                std::span<std::byte> image, const SegmentProgressFn& progress) {
  SF_ASSIGN_OR_RETURN(const CacheHeaderView header, CacheHeaderView::Open(image));
  CacheImageWriter writer(image);
  SegmentProgress done{.phase = source.phase,
                       .layers_ready = 0,
                       .num_layers = static_cast<uint32_t>(plan.moe_layers().size())};
  if (progress) progress(done);
  bool filled = false;
  for (const LayerId layer : plan.moe_layers()) {
    const auto records = image.subspan(plan.layer_offset(layer), plan.layer_bytes());
    const bool ready = header.layer_ready(layer) &&
                       header.layers()[Index(layer)].checksum ==
                           LayerChecksum(records, plan.layout().record_bytes, num_threads);
    if (!ready) {
      writer.ClearLayerReady(layer);
      SF_ASSIGN_OR_RETURN(const uint64_t checksum, source.fill(layer, records));
      writer.StoreLayerReady(layer, checksum);
      filled = true;
    }
    ++done.layers_ready;
    if (progress) progress(done);
  }
  return filled;
}

}  // namespace

std::string UnfinishedSegmentPath(const std::string& segment_path) {
  return absl::StrCat(segment_path, ".new");
}

absl::StatusOr<bool> PopulateSegment(const Checkpoint& checkpoint, const CachePlan& plan,
                                     const SegmentOptions& options, const std::string& segment_path,
                                     const SegmentProgressFn& progress) {
  SF_ASSIGN_OR_RETURN(const Source source, OpenSource(checkpoint, plan, options));
  if (access(segment_path.c_str(), F_OK) != 0) {
    SF_RETURN_IF_ERROR(CreateSegment(plan, options, segment_path));
  }
  // Of one that was ready before somebody damaged its state, or almost; what matters is whether it
  // can be mapped.
  chmod(segment_path.c_str(), 0644);
  SF_ASSIGN_OR_RETURN(const ipc::mapped_region region, MapWritable(segment_path));
  const std::span<std::byte> file = BytesOf(region);
  const uint64_t huge = HugePageBytes(segment_path);
  const std::span<std::byte> image = file.first(TrimToImage(file, huge).size());
  SF_RETURN_IF_ERROR(CacheHeaderView::Open(image).status());
  CacheImageWriter writer(image);
  writer.StoreState(CacheState::kPopulating);
  const absl::StatusOr<bool> filled =
      FillLayers(plan, source, options.num_threads, image, progress);
  // Before it is ready, so that no ready segment can be written.
  if (filled.ok()) chmod(segment_path.c_str(), 0444);
  writer.StoreState(filled.ok() ? CacheState::kReady : CacheState::kFailed);
  return filled;
}

}  // namespace spearfish
