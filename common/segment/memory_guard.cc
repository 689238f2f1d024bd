#include "common/segment/memory_guard.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/bytes.h"

namespace spearfish {

absl::StatusOr<MemoryFigures> ReadMemoryFigures(const std::string& directory) {
  MemoryFigures figures;
  std::ifstream meminfo("/proc/meminfo");
  std::string key;
  std::string unit;
  uint64_t kibibytes = 0;
  while (meminfo >> key >> kibibytes && std::getline(meminfo, unit)) {
    if (key == "MemTotal:") figures.total_bytes = kibibytes * kKiB;
    if (key == "MemAvailable:") figures.available_bytes = kibibytes * kKiB;
  }
  if (figures.total_bytes == 0) {
    return absl::InternalError("cannot read /proc/meminfo: no MemTotal; mount /proc");
  }
  struct statvfs info = {};
  if (statvfs(directory.c_str(), &info) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot stat segment directory ", directory));
  }
  figures.mount_free_bytes = uint64_t{info.f_bavail} * info.f_frsize;
  return figures;
}

absl::Status CheckMemory(uint64_t needed_bytes, const MemoryFigures& figures, double margin,
                         const std::string& directory) {
  const auto reserve = static_cast<uint64_t>(static_cast<double>(figures.total_bytes) * margin);
  const uint64_t usable = figures.available_bytes - std::min(reserve, figures.available_bytes);
  if (needed_bytes > usable) {
    return absl::ResourceExhaustedError(absl::StrFormat(
        "not enough memory for the expert cache: it needs %s, %s are available less the margin of "
        "%g %% of %s; free memory, use --bits=4 or a larger machine",
        FormatBytes(needed_bytes), FormatBytes(usable), margin * 100,
        FormatBytes(figures.total_bytes)));
  }
  if (needed_bytes > figures.mount_free_bytes) {
    return absl::ResourceExhaustedError(absl::StrFormat(
        "not enough space for the expert cache: it needs %s, %s has %s free; remount it larger or "
        "remove segments with spearfish-pack remove",
        FormatBytes(needed_bytes), directory, FormatBytes(figures.mount_free_bytes)));
  }
  return absl::OkStatus();
}

}  // namespace spearfish
