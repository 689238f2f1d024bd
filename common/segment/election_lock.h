// Who of all processes on the host may populate or remove one segment.
#ifndef COMMON_SEGMENT_ELECTION_LOCK_H_
#define COMMON_SEGMENT_ELECTION_LOCK_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace spearfish {

// Holds a boost::interprocess::file_lock on PATH.lock; the kernel frees it when the process dies.
// POSIX record locks don't tell the threads of one process apart, and closing any descriptor of the
// file frees them, so within a process one mutex comes first: a process populates one segment at a
// time. Acquired, used and destroyed by one thread.
class ElectionLock {
 public:
  // nullptr while somebody else has it. PermissionDenied or another error of the lock file.
  static absl::StatusOr<std::unique_ptr<ElectionLock>> TryAcquire(const std::string& segment_path);
  ~ElectionLock();
  ElectionLock(const ElectionLock&) = delete;
  ElectionLock& operator=(const ElectionLock&) = delete;

  // Deletes the lock file, still holding the lock; nobody else can be let in by the deleted file.
  void RemoveFile();

 private:
  struct Held;
  explicit ElectionLock(std::unique_ptr<Held> held);
  const std::unique_ptr<Held> held_;
};

}  // namespace spearfish

#endif  // COMMON_SEGMENT_ELECTION_LOCK_H_
