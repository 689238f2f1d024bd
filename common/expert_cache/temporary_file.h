// A file that gets its name only when it is whole.
#ifndef COMMON_EXPERT_CACHE_TEMPORARY_FILE_H_
#define COMMON_EXPERT_CACHE_TEMPORARY_FILE_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace spearfish {

// Owns "PATH.tmp-PID", open and locked (flock) while it lives; removed by the destructor unless
// committed. Used by one thread.
class TemporaryFile {
 public:
  // Also deletes what killed processes left of the same PATH: files that nobody has locked and
  // whose process no longer lives. (Both are asked: the number may be another container's, the lock
  // may not reach over a network file system.)
  static absl::StatusOr<std::unique_ptr<TemporaryFile>> Create(const std::string& path);
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  int fd() const { return fd_; }
  // Syncs it, names it PATH (replacing an older file) and syncs the folder.
  absl::Status Commit();

 private:
  TemporaryFile(int fd, std::string path, std::string temporary)
      : fd_(fd), path_(std::move(path)), temporary_(std::move(temporary)) {}

  const int fd_;
  const std::string path_;
  std::string temporary_;  // empty once it has its name
};

// "." where the path has none.
std::string FolderOf(const std::string& path);

}  // namespace spearfish

#endif  // COMMON_EXPERT_CACHE_TEMPORARY_FILE_H_
