#include "common/segment/segment_look.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <span>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/status_macros.h"
#include "common/expert_cache/cache_image.h"
#include "common/expert_cache/format.h"
#include "common/expert_cache/huge_pages.h"

namespace spearfish {
namespace {

// A damaged layer count must not decide how much memory is taken; this is 32,640 layers.
constexpr uint64_t kMostHeadBytes = kMiB;

// As many bytes as there are, at most out.size(); shorter where the file ends.
absl::StatusOr<size_t> ReadFromStart(int fd, std::span<std::byte> out, const std::string& path) {
  size_t filled = 0;
  while (filled < out.size()) {
    const ssize_t count =
        pread(fd, out.data() + filled, out.size() - filled, static_cast<off_t>(filled));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
    if (count == 0) break;
    filled += static_cast<size_t>(count);
  }
  return filled;
}

uint64_t HeadBytes(const CacheHeader& header) {
  const uint64_t table_bytes = uint64_t{header.num_layers} * sizeof(LayerEntry);
  return std::min(AlignUp(sizeof(CacheHeader) + table_bytes, kCachePageBytes), kMostHeadBytes);
}

// Header and layer table, or less where the file is shorter.
absl::StatusOr<std::vector<std::byte>> ReadHead(int fd, const std::string& path) {
  std::vector<std::byte> head(sizeof(CacheHeader));
  SF_ASSIGN_OR_RETURN(size_t count, ReadFromStart(fd, head, path));
  if (count == head.size()) {
    head.resize(HeadBytes(*reinterpret_cast<const CacheHeader*>(head.data())));
    SF_ASSIGN_OR_RETURN(count, ReadFromStart(fd, head, path));
  }
  head.resize(count);
  return head;
}

// The length of the image in a file of `file_bytes`: what its header says, where a hugetlbfs had to
// round it up to this.
uint64_t ImageBytes(std::span<const std::byte> head, uint64_t file_bytes, uint64_t huge) {
  if (huge == 0 || head.size() < sizeof(CacheHeader)) return file_bytes;
  const uint64_t said = reinterpret_cast<const CacheHeader*>(head.data())->image_bytes;
  const bool rounded = said <= file_bytes && FileBytes(said, huge) == file_bytes;
  return rounded ? said : file_bytes;
}

absl::Status Located(const absl::Status& status, const std::string& path) {
  const std::filesystem::path file(path);
  return absl::Status(
      status.code(),
      absl::StrCat(status.message(), " (", path, "; spearfish-pack remove ",
                   file.filename().string(), " --shm-dir=", file.parent_path().string(), ")"));
}

absl::Status CheckIdentity(const CacheHeader& header, const CachePlan& plan) {
  if (header.identity == plan.identity()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("segment belongs to another checkpoint: it holds ", header.model_name.data(),
                   ", not ", plan.model_name(), "; remove it"));
}

}  // namespace

absl::StatusOr<SegmentLook> LookAtSegment(const std::string& path, const CachePlan& plan) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return SegmentLook();
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open segment ", path));
  const absl::Cleanup close_fd = [fd] { close(fd); };
  struct stat info = {};
  if (fstat(fd, &info) != 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot stat ", path));
  SF_ASSIGN_OR_RETURN(const std::vector<std::byte> head, ReadHead(fd, path));
  const auto file_bytes = static_cast<uint64_t>(info.st_size);
  const auto header =
      CacheHeaderView::OpenHead(head, ImageBytes(head, file_bytes, HugePageBytes(path)));
  if (!header.ok()) return Located(header.status(), path);
  if (const absl::Status same = CheckIdentity(header->header(), plan); !same.ok()) {
    return Located(same, path);
  }
  return SegmentLook{.exists = true,
                     .ready = header->state() == CacheState::kReady,
                     .layers_ready = header->num_layers_ready()};
}

}  // namespace spearfish
