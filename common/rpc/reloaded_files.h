// A value that is made from files and made again when they change.
#ifndef COMMON_RPC_RELOADED_FILES_H_
#define COMMON_RPC_RELOADED_FILES_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "common/rpc/file_watch.h"

namespace spearfish {

// Thread-safe. Whoever asks for the value looks at the files when that is due (FileWatch says when)
// and makes it again; meanwhile and after a failure the old value stays. No thread of its own: what
// nobody asks for need not be new.
template <typename T>
class ReloadedFiles {
 public:
  using Make = std::function<absl::StatusOr<T>()>;

  // The status of `make` if the files are bad from the start.
  static absl::StatusOr<std::unique_ptr<ReloadedFiles>> Create(FileWatchOptions options,
                                                               Make make) {
    std::unique_ptr<ReloadedFiles> files(new ReloadedFiles(std::move(options), std::move(make)));
    SF_ASSIGN_OR_RETURN(T value, files->make_());
    const MutexLock lock(files->mutex_);
    files->value_ = std::make_shared<const T>(std::move(value));
    return files;
  }

  // Shared with the callers, who keep what they got while another takes its place.
  std::shared_ptr<const T> Current() {
    if (!looking_.exchange(true)) {  // one at a time: an older read must not replace a newer one
      if (watch_.Changed()) Remake();
      looking_ = false;
    }
    const MutexLock lock(mutex_);
    return value_;
  }

 private:
  ReloadedFiles(FileWatchOptions options, Make make)
      : watch_(std::move(options)), make_(std::move(make)) {}

  void Remake() {
    absl::StatusOr<T> value = make_();
    watch_.Tried(value.status());
    if (!value.ok()) return;
    const MutexLock lock(mutex_);
    value_ = std::make_shared<const T>(*std::move(value));
  }

  FileWatch watch_;
  const Make make_;
  std::atomic<bool> looking_ = false;  // somebody looks, and makes the value if that is due
  Mutex mutex_;
  std::shared_ptr<const T> value_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace spearfish

#endif  // COMMON_RPC_RELOADED_FILES_H_
