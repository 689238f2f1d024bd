#include "common/expert_cache/temporary_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"

namespace spearfish {
namespace {

constexpr char kSuffix[] = ".tmp-";

absl::Status Sync(int fd, const std::string& path) {
  if (fsync(fd) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot sync ", path));
}

absl::Status SyncFolder(const std::string& folder) {
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", folder));
  const absl::Cleanup close_fd = [fd] { close(fd); };
  return Sync(fd, folder);
}

bool Lives(int32_t pid) { return kill(pid, 0) == 0 || errno != ESRCH; }

// Whether a writer of any container has it open.
bool IsLocked(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return true;  // not ours to judge
  const absl::Cleanup close_fd = [fd] { close(fd); };
  return flock(fd, LOCK_EX | LOCK_NB) != 0;
}

void RemoveLeftovers(const std::string& path) {
  const std::string prefix = absl::StrCat(std::filesystem::path(path).filename().string(), kSuffix);
  std::error_code error;
  std::vector<std::string> dead;
  for (std::filesystem::directory_iterator it(FolderOf(path), error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    absl::string_view number = name;
    int32_t pid = 0;
    if (absl::ConsumePrefix(&number, prefix) && absl::SimpleAtoi(number, &pid) && pid > 0 &&
        !Lives(pid) && !IsLocked(it->path().string())) {
      dead.push_back(it->path().string());
    }
  }
  for (const std::string& file : dead) unlink(file.c_str());
}

}  // namespace

std::string FolderOf(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

absl::StatusOr<std::unique_ptr<TemporaryFile>> TemporaryFile::Create(const std::string& path) {
  RemoveLeftovers(path);
  const std::string temporary = absl::StrCat(path, kSuffix, getpid());
  const int fd = open(temporary.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot create ", temporary));
  // Where locks aren't supported the process number must do.
  if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    close(fd);
    return absl::UnavailableError(
        absl::StrCat("somebody else writes ", temporary, "; wait for it or choose another name"));
  }
  auto file = std::unique_ptr<TemporaryFile>(new TemporaryFile(fd, path, temporary));
  if (ftruncate(fd, 0) == 0) return file;
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot truncate ", temporary));
}

TemporaryFile::~TemporaryFile() {
  if (!temporary_.empty()) unlink(temporary_.c_str());
  close(fd_);
}

absl::Status TemporaryFile::Commit() {
  SF_RETURN_IF_ERROR(Sync(fd_, temporary_));
  if (rename(temporary_.c_str(), path_.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot rename ", temporary_, " to ", path_));
  }
  temporary_.clear();
  return SyncFolder(FolderOf(path_));
}

}  // namespace spearfish
