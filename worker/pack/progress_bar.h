// One line on a terminal that fills up while layers are done.
#ifndef WORKER_PACK_PROGRESS_BAR_H_
#define WORKER_PACK_PROGRESS_BAR_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace spearfish::worker {

// Writes to stderr, and only where that is a terminal: logs and pipes stay clean. One thread.
class ProgressBar {
 public:
  ProgressBar();
  ~ProgressBar();  // ends the line
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // "packing [########............] 12/48 layers, 31 s left".
  void Show(absl::string_view what, uint32_t done, uint32_t total);

 private:
  const bool is_terminal_;
  const absl::Time start_;
  bool shown_ = false;
};

}  // namespace spearfish::worker

#endif  // WORKER_PACK_PROGRESS_BAR_H_
