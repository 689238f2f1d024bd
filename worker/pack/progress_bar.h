// One line on a terminal that fills up while work is done.
#ifndef WORKER_PACK_PROGRESS_BAR_H_
#define WORKER_PACK_PROGRESS_BAR_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace spearfish::worker {

// Writes to stderr, and only where that is a terminal: logs and pipes stay clean. One thread.
class ProgressBar {
 public:
  // `unit` names what is counted, as long as the bar lives.
  explicit ProgressBar(absl::string_view unit = "layers");
  ~ProgressBar();  // ends the line
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // "packing [########............] 12/48 layers, 31 s left".
  void Show(absl::string_view what, uint32_t done, uint32_t total);

 private:
  const absl::string_view unit_;
  const bool is_terminal_;
  const absl::Time start_;
  bool shown_ = false;
};

}  // namespace spearfish::worker

#endif  // WORKER_PACK_PROGRESS_BAR_H_
