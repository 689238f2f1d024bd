#include "common/segment/memory_guard.h"

#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/bytes.h"
#include "common/base/status_macros.h"
#include "common/expert_cache/huge_pages.h"

namespace spearfish {
namespace {

uint64_t ReadCount(const std::string& path) {
  std::ifstream file(path);
  uint64_t count = 0;
  file >> count;
  return count;
}

// Pages of the pool that are neither used nor promised.
uint64_t FreeHugePageBytes(uint64_t page_bytes, const std::string& root) {
  const std::string folder =
      absl::StrCat(root, "/sys/kernel/mm/hugepages/hugepages-", page_bytes / kKiB, "kB/");
  const uint64_t free = ReadCount(folder + "free_hugepages");
  return (free - std::min(free, ReadCount(folder + "resv_hugepages"))) * page_bytes;
}

absl::Status ReadMount(const std::string& directory, const std::string& root,
                       MemoryFigures& figures) {
  struct statvfs info = {};
  if (statvfs(directory.c_str(), &info) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot stat segment directory ", directory));
  }
  figures.mount_free_bytes = uint64_t{info.f_bavail} * info.f_frsize;
  figures.mount_name = directory;
  const uint64_t huge = HugePageBytes(directory);
  if (huge == 0) return absl::OkStatus();
  // A hugetlbfs mounted without a size says 0 blocks and takes what the host's pool has.
  const uint64_t in_pool = FreeHugePageBytes(huge, root);
  figures.mount_free_bytes =
      info.f_blocks == 0 ? in_pool : std::min(in_pool, figures.mount_free_bytes);
  figures.mount_name = absl::StrCat("the pool of ", FormatBytes(huge), " pages behind ", directory,
                                    " (vm.nr_hugepages)");
  figures.pools.clear();
  return absl::OkStatus();
}

uint64_t Limit(decltype(RLIMIT_AS) resource) {
  struct rlimit limit = {};
  if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kUnlimited;
  return limit.rlim_cur;
}

uint64_t AddressSpaceLeft() {
  const uint64_t limit = Limit(RLIMIT_AS);
  if (limit == kUnlimited) return kUnlimited;
  // Of this process whatever the root of the tests: the limit is this process's.
  const uint64_t mapped =
      ReadCount("/proc/self/statm") * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return limit - std::min(limit, mapped);
}

absl::Status TooLittle(absl::string_view of, uint64_t needed, const std::string& there,
                       absl::string_view remedy) {
  return absl::ResourceExhaustedError(absl::StrCat("not enough ", of,
                                                   " for the expert cache: it needs ",
                                                   FormatBytes(needed), ", ", there, "; ", remedy));
}

absl::Status CheckPools(uint64_t needed_bytes, const MemoryFigures& figures, double margin) {
  const MemoryPool* const pool = TightestPool(figures.pools, margin);
  if (pool == nullptr) return absl::OkStatus();
  const auto usable = static_cast<uint64_t>(std::max<int64_t>(pool->BytesAbove(margin), 0));
  if (needed_bytes <= usable) return absl::OkStatus();
  return TooLittle(
      "memory", needed_bytes,
      absl::StrFormat("%s are available in %s less the margin of %g %% of %s", FormatBytes(usable),
                      pool->name, margin * 100, FormatBytes(pool->total_bytes)),
      "free memory, raise the limit, use --bits=4 or a larger machine");
}

absl::Status CheckResourceLimits(uint64_t needed_bytes, const MemoryFigures& figures) {
  if (needed_bytes > figures.file_size_limit_bytes) {
    return TooLittle("file size", needed_bytes,
                     absl::StrCat("this process may write files of ",
                                  FormatBytes(figures.file_size_limit_bytes)),
                     "raise ulimit -f");
  }
  if (needed_bytes > figures.address_space_left_bytes) {
    return TooLittle("address space", needed_bytes,
                     absl::StrCat("this process may map ",
                                  FormatBytes(figures.address_space_left_bytes), " more"),
                     "raise ulimit -v");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<MemoryFigures> ReadMemoryFigures(const std::string& directory,
                                                const std::string& root) {
  MemoryFigures figures;
  SF_ASSIGN_OR_RETURN(figures.pools, ReadMemoryPools(root));
  SF_RETURN_IF_ERROR(ReadMount(directory, root, figures));
  figures.file_size_limit_bytes = Limit(RLIMIT_FSIZE);
  figures.address_space_left_bytes = AddressSpaceLeft();
  return figures;
}

absl::Status CheckMemory(uint64_t needed_bytes, const MemoryFigures& figures, double margin) {
  SF_RETURN_IF_ERROR(CheckPools(needed_bytes, figures, margin));
  if (needed_bytes > figures.mount_free_bytes) {
    return TooLittle(
        "space", needed_bytes,
        absl::StrCat(figures.mount_name, " has ", FormatBytes(figures.mount_free_bytes), " free"),
        "make it larger or remove segments with spearfish-pack remove");
  }
  return CheckResourceLimits(needed_bytes, figures);
}

}  // namespace spearfish
