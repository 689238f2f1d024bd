// Looks at the host's memory while the process runs.
#ifndef COMMON_SEGMENT_MEMORY_WATCH_H_
#define COMMON_SEGMENT_MEMORY_WATCH_H_

#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "common/segment/memory_floor.h"
#include "common/segment/memory_pool.h"

namespace spearfish {

// Owns a thread that reads, judges and tells `listener` at each look. Created and destroyed by one
// thread; what the functions refer to must outlive it. What can't be read changes nothing.
class MemoryWatch {
 public:
  using Reader = std::function<absl::StatusOr<std::vector<MemoryPool>>()>;
  using Listener = std::function<void(const MemoryStatus&)>;
  struct Options {
    MemoryFloorOptions floor;
    absl::Duration interval = absl::Milliseconds(500);
  };

  // The first look is taken here, before the constructor returns.
  MemoryWatch(const Options& options, Reader reader, Listener listener);
  ~MemoryWatch();
  MemoryWatch(const MemoryWatch&) = delete;
  MemoryWatch& operator=(const MemoryWatch&) = delete;

 private:
  void Run();
  void Look();

  const Options options_;
  const Reader reader_;
  const Listener listener_;
  bool low_ = false;  // of the thread that looks
  Mutex mutex_;
  Condition stop_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace spearfish

#endif  // COMMON_SEGMENT_MEMORY_WATCH_H_
