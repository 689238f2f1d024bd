#include "common/expert_cache/cache_file.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <span>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/status_macros.h"
#include "common/expert_cache/cache_image.h"
#include "common/expert_cache/huge_pages.h"
#include "common/expert_cache/temporary_file.h"

namespace spearfish {
namespace {

absl::Status CheckDiskSpace(const std::string& path, uint64_t needed) {
  struct statvfs info = {};
  if (statvfs(FolderOf(path).c_str(), &info) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot stat the folder of ", path));
  }
  const uint64_t free = uint64_t{info.f_bavail} * info.f_frsize;
  if (needed <= free) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      "not enough disk space for the expert cache: ", path, " needs ", FormatBytes(needed), ", ",
      FormatBytes(free), " are free; free some or choose another place with --out"));
}

absl::Status WriteAt(int fd, std::span<const std::byte> bytes, uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t written = pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return absl::ErrnoToStatus(errno, "cannot write the expert cache");
    bytes = bytes.subspan(static_cast<size_t>(written));
    offset += static_cast<uint64_t>(written);
  }
  return absl::OkStatus();
}

absl::Status WriteImage(const Checkpoint& checkpoint, const CachePlan& plan, int fd,
                        uint32_t num_threads, const BuildProgressFn& progress) {
  std::vector<std::byte> header = NewHeaderBytes(plan);
  CacheImageWriter writer(header);
  std::vector<std::byte> records(plan.layer_bytes());
  BuildProgress done{.layers_done = 0,
                     .num_layers = static_cast<uint32_t>(plan.moe_layers().size())};
  for (const LayerId layer : plan.moe_layers()) {
    SF_ASSIGN_OR_RETURN(const uint64_t checksum,
                        PackLayer(checkpoint, plan, layer, num_threads, records));
    SF_RETURN_IF_ERROR(WriteAt(fd, records, plan.layer_offset(layer)));
    writer.StoreLayerReady(layer, checksum);
    ++done.layers_done;
    if (progress) progress(done);
  }
  writer.StoreState(CacheState::kReady);
  return WriteAt(fd, header, 0);
}

}  // namespace

absl::Status WriteCacheFile(const Checkpoint& checkpoint, const CachePlan& plan,
                            const std::string& path, uint32_t num_threads,
                            const BuildProgressFn& progress) {
  SF_RETURN_IF_ERROR(CheckDiskSpace(path, plan.image_bytes()));
  SF_ASSIGN_OR_RETURN(const auto file, TemporaryFile::Create(path));
  SF_RETURN_IF_ERROR(WriteImage(checkpoint, plan, file->fd(), num_threads, progress));
  return file->Commit();
}

absl::StatusOr<std::unique_ptr<CacheFile>> CacheFile::Open(const std::string& path) {
  SF_ASSIGN_OR_RETURN(std::unique_ptr<MappedFile> file, MappedFile::Open(path));
  const absl::StatusOr<CacheView> cache =
      CacheView::Open(TrimToImage(file->bytes(), HugePageBytes(path)));
  if (!cache.ok()) {
    return absl::Status(cache.status().code(),
                        absl::StrCat(cache.status().message(), " (", path, ")"));
  }
  return std::unique_ptr<CacheFile>(new CacheFile(std::move(file), *cache));
}

}  // namespace spearfish
