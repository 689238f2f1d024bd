#include "worker/pack/progress_bar.h"

#include <unistd.h>

#include <cstdio>
#include <string>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"

namespace spearfish::worker {
namespace {

constexpr size_t kWidth = 30;

}  // namespace

ProgressBar::ProgressBar(absl::string_view unit)
    : unit_(unit), is_terminal_(isatty(STDERR_FILENO) == 1), start_(absl::Now()) {}

ProgressBar::~ProgressBar() {
  if (shown_) std::fputc('\n', stderr);
}

void ProgressBar::Show(absl::string_view what, uint32_t done, uint32_t total) {
  if (!is_terminal_ || total == 0) return;
  shown_ = true;
  const size_t filled = kWidth * done / total;
  std::string left;
  if (done > 0 && done < total) {
    const absl::Duration rest = (absl::Now() - start_) / done * (total - done);
    left = absl::StrFormat(", %d s left", absl::ToInt64Seconds(rest));
  }
  // \x1b[K erases what a longer line before left behind.
  const std::string line =
      absl::StrFormat("\r%s [%s%s] %d/%d %s%s\x1b[K", what, std::string(filled, '#'),
                      std::string(kWidth - filled, '.'), done, total, unit_, left);
  std::fwrite(line.data(), 1, line.size(), stderr);
  std::fflush(stderr);
}

}  // namespace spearfish::worker
