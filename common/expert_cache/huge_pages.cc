#include "common/expert_cache/huge_pages.h"

#include <linux/magic.h>
#include <sys/vfs.h>

#include <algorithm>

#include "common/base/bytes.h"
#include "common/expert_cache/format.h"

namespace spearfish {

uint64_t HugePageBytes(const std::string& path) {
  struct statfs info = {};
  if (statfs(path.c_str(), &info) != 0) return 0;
  return info.f_type == HUGETLBFS_MAGIC ? static_cast<uint64_t>(info.f_bsize) : 0;
}

uint64_t FileBytes(uint64_t image_bytes, uint64_t huge_page_bytes) {
  return huge_page_bytes == 0 ? image_bytes : AlignUp(image_bytes, huge_page_bytes);
}

std::span<const std::byte> TrimToImage(std::span<const std::byte> file, uint64_t huge_page_bytes) {
  if (huge_page_bytes == 0 || file.size() < sizeof(CacheHeader)) return file;
  const uint64_t image_bytes = reinterpret_cast<const CacheHeader*>(file.data())->image_bytes;
  // Compared this way around, so that a damaged length can't overflow.
  if (image_bytes < sizeof(CacheHeader) || image_bytes > file.size() ||
      FileBytes(image_bytes, huge_page_bytes) != file.size()) {
    return file;
  }
  const bool zeros =
      std::ranges::all_of(file.subspan(image_bytes), [](std::byte b) { return b == std::byte{0}; });
  return zeros ? file.first(image_bytes) : file;
}

}  // namespace spearfish
