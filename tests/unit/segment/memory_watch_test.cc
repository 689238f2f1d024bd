#include "common/segment/memory_watch.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "absl/synchronization/notification.h"
#include "common/base/bytes.h"

namespace spearfish {
namespace {

// Hands out one figure after the other, then the last again and again.
struct ScriptedHost {
  std::vector<uint64_t> available_mib;
  std::atomic<size_t> next{0};

  absl::StatusOr<std::vector<MemoryPool>> Read() {
    const size_t at = std::min(next.fetch_add(1), available_mib.size() - 1);
    if (available_mib[at] == 0) return absl::InternalError("unreadable");
    return std::vector<MemoryPool>{{.name = "host memory",
                                    .total_bytes = 1000 * kMiB,
                                    .available_bytes = available_mib[at] * kMiB}};
  }
};

TEST(MemoryWatch, TellsLowAndClearAndSkipsWhatCannotBeRead) {
  ScriptedHost host{.available_mib = {500, 40, 0, 55, 70, 300}};
  std::vector<bool> heard;
  absl::Notification done;
  {
    const MemoryWatch watch(
        {.floor = {}, .interval = absl::Microseconds(1)}, [&] { return host.Read(); },
        [&](const MemoryStatus& status) {
          if (done.HasBeenNotified()) return;
          heard.push_back(status.low);
          if (heard.size() == 5) done.Notify();
        });
    done.WaitForNotification();
  }
  EXPECT_EQ(heard, (std::vector<bool>{false, true, true, false, false}));
}

TEST(MemoryWatch, LooksBeforeItIsConstructedAndEndsAtOnce) {
  ScriptedHost host{.available_mib = {10}};
  bool low = false;
  {
    const MemoryWatch watch(
        {.floor = {}, .interval = absl::InfiniteDuration()}, [&] { return host.Read(); },
        [&](const MemoryStatus& status) { low = status.low; });
    EXPECT_TRUE(low);
  }
  EXPECT_EQ(host.next, 1u);
}

}  // namespace
}  // namespace spearfish
