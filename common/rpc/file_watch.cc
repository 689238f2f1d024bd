#include "common/rpc/file_watch.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"

namespace spearfish {

FileWatch::FileWatch(FileWatchOptions options) : options_(std::move(options)), good_(Look()) {
  next_look_ns_ = absl::ToUnixNanos(options_.clock() + options_.interval);
}

FileWatch::Versions FileWatch::Look() const {
  Versions versions;
  for (const std::string& path : options_.paths) {
    if (!path.empty()) versions.push_back(FileVersion::Of(path));
  }
  return versions;
}

bool FileWatch::Changed() {
  const absl::Time now = options_.clock();
  int64_t due = next_look_ns_;
  if (absl::ToUnixNanos(now) < due) return false;
  if (!next_look_ns_.compare_exchange_strong(due, absl::ToUnixNanos(now + options_.interval))) {
    return false;  // another thread looks
  }
  // Before the files are read: what changes after that is seen the next time.
  Versions versions = Look();
  const MutexLock lock(mutex_);
  seen_ = std::move(versions);
  if (seen_ != good_) return true;
  failed_before_ = false;
  return false;
}

void FileWatch::Tried(const absl::Status& status) {
  const MutexLock lock(mutex_);
  if (status.ok()) {
    good_ = seen_;
    said_.clear();
    LogInfo(absl::StrCat(options_.what, " read again: the files have changed"));
  } else if (failed_before_ && said_ != status.message()) {
    said_ = std::string(status.message());
    LogWarning(absl::StrCat(options_.what, " stays as it was: ", said_));
  }
  failed_before_ = !status.ok();
}

}  // namespace spearfish
