// When to read files again, and what to say about it.
#ifndef COMMON_RPC_FILE_WATCH_H_
#define COMMON_RPC_FILE_WATCH_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "common/rpc/file_version.h"

namespace spearfish {

struct FileWatchOptions {
  std::string what = {};                // for the log: "TLS certificate"
  std::vector<std::string> paths = {};  // empty ones are left out
  absl::Duration interval = absl::Seconds(1);
  // Steady: a clock that is set back must not stop the looking.
  std::function<absl::Time()> clock = [] {
    return absl::UnixEpoch() +
           absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
  };
};

// Thread-safe. Takes the files as they are when it is made for read.
class FileWatch {
 public:
  explicit FileWatch(FileWatchOptions options);

  // True at most once an interval, for one of the threads that ask, when the files are not what was
  // last read well. It then reads them and calls Tried.
  bool Changed();
  // Logs a success, and a failure that lasts: files that belong together are replaced one after the
  // other, so the first look may see half of it.
  void Tried(const absl::Status& status);

 private:
  using Versions = std::vector<FileVersion>;
  Versions Look() const;

  const FileWatchOptions options_;
  std::atomic<int64_t> next_look_ns_ = 0;
  Mutex mutex_;
  Versions good_ ABSL_GUARDED_BY(mutex_);
  Versions seen_ ABSL_GUARDED_BY(mutex_);
  bool failed_before_ ABSL_GUARDED_BY(mutex_) = false;
  std::string said_ ABSL_GUARDED_BY(mutex_);  // the failure that was last logged
};

}  // namespace spearfish

#endif  // COMMON_RPC_FILE_WATCH_H_
