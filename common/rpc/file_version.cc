#include "common/rpc/file_version.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

namespace spearfish {
namespace {

constexpr int64_t kNanosecondsPerSecond = 1000000000;

int64_t Nanoseconds(const timespec& time) {
  return time.tv_sec * kNanosecondsPerSecond + time.tv_nsec;
}

absl::Status CannotOpen(absl::string_view what, const std::string& path, int error) {
  const std::string problem = absl::StrCat(what, ": can't read ", path, ": ", strerror(error));
  if (error == ENOENT || error == ENOTDIR) {
    return absl::NotFoundError(absl::StrCat(problem, "; give the path of an existing file"));
  }
  return absl::PermissionDeniedError(absl::StrCat(problem, "; may this user read it?"));
}

absl::Status CheckRegular(absl::string_view what, const std::string& path, const struct stat& info,
                          size_t max_bytes) {
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": ", path, " is not a regular file; give the path of a file"));
  }
  if (info.st_size == 0 || static_cast<uint64_t>(info.st_size) > max_bytes) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": ", path, " has ", info.st_size,
                                                   " bytes, not 1 to ", max_bytes,
                                                   "; is it the right file?"));
  }
  return absl::OkStatus();
}

}  // namespace

FileVersion FileVersion::Of(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return {};
  return {.device = info.st_dev,
          .inode = info.st_ino,
          .bytes = info.st_size,
          .modified_ns = Nanoseconds(info.st_mtim),
          .changed_ns = Nanoseconds(info.st_ctim)};
}

absl::StatusOr<SmallFile> ReadSmallFile(absl::string_view what, const std::string& path,
                                        size_t max_bytes) {
  // Without O_NONBLOCK a fifo would hold the server up until somebody writes into it.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return CannotOpen(what, path, errno);
  const absl::Cleanup close_fd = [fd] { close(fd); };
  struct stat info {};
  if (fstat(fd, &info) != 0) return CannotOpen(what, path, errno);
  if (absl::Status status = CheckRegular(what, path, info, max_bytes); !status.ok()) return status;
  SmallFile file{.text = std::string(static_cast<size_t>(info.st_size), '\0'),
                 .mode = info.st_mode};
  size_t done = 0;
  while (done < file.text.size()) {
    const ssize_t bytes = read(fd, file.text.data() + done, file.text.size() - done);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return CannotOpen(what, path, errno);
    if (bytes == 0) break;  // it became shorter meanwhile: its version changes, too
    done += static_cast<size_t>(bytes);
  }
  file.text.resize(done);
  return file;
}

}  // namespace spearfish
