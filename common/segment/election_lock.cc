#include "common/segment/election_lock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/interprocess/exceptions.hpp>
#include <boost/interprocess/sync/file_lock.hpp>
#include <cerrno>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

namespace spearfish {
namespace {

std::mutex& ProcessMutex() {
  static std::mutex mutex;
  return mutex;
}

std::optional<ino_t> InodeOf(const std::string& path) {
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0) return std::nullopt;
  return info.st_ino;
}

absl::Status CreateIfMissing(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open lock file ", path));
  close(fd);
  return absl::OkStatus();
}

}  // namespace

// Members are released in reverse order: the file lock first, then the mutex.
struct ElectionLock::Held {
  std::unique_lock<std::mutex> in_process;
  boost::interprocess::file_lock between_processes;
  std::string path;
};

absl::StatusOr<std::unique_ptr<ElectionLock>> ElectionLock::TryAcquire(
    const std::string& segment_path) {
  std::unique_lock<std::mutex> in_process(ProcessMutex(), std::try_to_lock);
  if (!in_process.owns_lock()) return nullptr;
  const std::string path = absl::StrCat(segment_path, ".lock");
  if (absl::Status status = CreateIfMissing(path); !status.ok()) return status;
  try {
    const std::optional<ino_t> before = InodeOf(path);
    boost::interprocess::file_lock lock(path.c_str());
    if (!lock.try_lock()) return nullptr;
    // Somebody may have deleted the file (RemoveFile) between open and lock: a lock on a file that
    // has no name any more excludes nobody.
    if (!before || InodeOf(path) != before) return nullptr;
    return std::unique_ptr<ElectionLock>(new ElectionLock(
        std::make_unique<Held>(Held{std::move(in_process), std::move(lock), path})));
  } catch (const boost::interprocess::interprocess_exception& error) {
    if (error.get_error_code() == boost::interprocess::not_found_error) return nullptr;
    return absl::UnavailableError(
        absl::StrCat("cannot lock ", path, ": ", error.what(), "; check the folder's file system"));
  }
}

ElectionLock::ElectionLock(std::unique_ptr<Held> held) : held_(std::move(held)) {}

ElectionLock::~ElectionLock() {
  try {
    held_->between_processes.unlock();
  } catch (const boost::interprocess::interprocess_exception&) {
    // Closing the descriptor frees it as well.
  }
}

void ElectionLock::RemoveFile() { unlink(held_->path.c_str()); }

}  // namespace spearfish
