// ReadMemoryPools over folders that look like a host's /proc and /sys.
#include "common/segment/memory_pool.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_data.h"

namespace spearfish {
namespace {

class MemoryPoolTest : public testing::Test {
 protected:
  MemoryPoolTest() {
    Write("/proc/meminfo",
          "MemTotal:       1048576 kB\nMemFree:  1 kB\nMemAvailable:    524288 kB\n");
    Write("/proc/self/mountinfo", "22 1 254:1 / / rw - ext4 /dev/vda rw\n");
    Write("/proc/self/cgroup", "");
  }
  void Write(const std::string& path, const std::string& content) const {
    const std::filesystem::path full = root_.path() + path;
    std::filesystem::create_directories(full.parent_path());
    tests::WriteFile(full.string(), content);
  }
  // A cgroup of v2 with its limit, usage, and page cache.
  void WriteV2(const std::string& folder, const std::string& max, uint64_t current,
               uint64_t page_cache) const {
    Write(folder + "/memory.max", max + "\n");
    Write(folder + "/memory.current", absl::StrCat(current, "\n"));
    Write(folder + "/memory.stat",
          absl::StrCat("anon 12\nfile 99999\ninactive_file ", page_cache / 2, "\nactive_file ",
                       page_cache - page_cache / 2, "\n"));
  }
  void MountV2(const std::string& mount_root = "/") const {
    Write("/proc/self/mountinfo",
          absl::StrCat("22 1 254:1 / / rw - ext4 /dev/vda rw\n31 22 0:28 ", mount_root,
                       " /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n"));
  }
  std::vector<MemoryPool> Read() const { return ReadMemoryPools(root_.path()).value(); }

  tests::TempDir root_;
};

TEST_F(MemoryPoolTest, WithoutCgroupsThereIsTheHost) {
  const auto pools = Read();
  ASSERT_EQ(pools.size(), 1u);
  EXPECT_EQ(pools[0].name, "host memory");
  EXPECT_EQ(pools[0].total_bytes, kGiB);
  EXPECT_EQ(pools[0].available_bytes, kGiB / 2);
  EXPECT_EQ(TightestPool(pools, 0.08), &pools[0]);
}

TEST_F(MemoryPoolTest, WalksUpThroughTheAncestorsOfV2) {
  MountV2();
  Write("/proc/self/cgroup", "0::/batch/job\n");
  WriteV2("/sys/fs/cgroup/batch/job", "max", 100 * kMiB, 0);
  WriteV2("/sys/fs/cgroup/batch", absl::StrCat(200 * kMiB), 150 * kMiB, 30 * kMiB);
  const auto pools = Read();
  ASSERT_EQ(pools.size(), 2u);
  EXPECT_EQ(pools[1].name, "cgroup /sys/fs/cgroup/batch");
  EXPECT_EQ(pools[1].total_bytes, 200 * kMiB);
  EXPECT_EQ(pools[1].available_bytes, 80 * kMiB);  // what can be dropped counts as free
  EXPECT_EQ(TightestPool(pools, 0.05), &pools[1]);
}

TEST_F(MemoryPoolTest, ReadsTheMemoryControllerOfV1) {
  Write("/proc/self/mountinfo",
        "34 31 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
        "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n");
  Write("/proc/self/cgroup", "4:memory:/a\n3:cpu:/b\n0::/c\n");
  Write("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "104857600\n");
  Write("/sys/fs/cgroup/memory/a/memory.usage_in_bytes", "94371840\n");
  Write("/sys/fs/cgroup/memory/a/memory.stat",
        "cache 1\nactive_file 7\ntotal_inactive_file 1048576\ntotal_active_file 1048576\n");
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  Write("/sys/fs/cgroup/memory/memory.usage_in_bytes", "94371840\n");
  const auto pools = Read();
  ASSERT_EQ(pools.size(), 2u);
  EXPECT_EQ(pools[1].name, "cgroup /sys/fs/cgroup/memory/a");
  EXPECT_EQ(pools[1].available_bytes, 12 * kMiB);
}

TEST_F(MemoryPoolTest, AContainerThatSeesItsOwnPartReadsThat) {
  MountV2("/docker/f00");
  WriteV2("/sys/fs/cgroup", absl::StrCat(64 * kMiB), 16 * kMiB, 0);
  for (const char* own : {"0::/docker/f00\n", "0::/\n", "0::/../other\n"}) {
    Write("/proc/self/cgroup", own);
    const auto pools = Read();
    ASSERT_EQ(pools.size(), 2u) << own;
    EXPECT_EQ(pools[1].available_bytes, 48 * kMiB) << own;
  }
  Write("/proc/self/cgroup", "0::/docker/f00/child\n");
  WriteV2("/sys/fs/cgroup/child", absl::StrCat(32 * kMiB), 31 * kMiB, 0);
  EXPECT_EQ(Read().size(), 3u);
}

TEST_F(MemoryPoolTest, UsageAboveTheLimitLeavesNothing) {
  MountV2();
  Write("/proc/self/cgroup", "0::/a\n");
  WriteV2("/sys/fs/cgroup/a", absl::StrCat(kMiB), 2 * kMiB, 0);
  EXPECT_EQ(Read().at(1).available_bytes, 0u);
}

TEST_F(MemoryPoolTest, OddFilesAreNoLimits) {
  MountV2();
  Write("/proc/self/mountinfo",
        "garbage\n1 - cgroup2\n- - -\n\n31 22 0:28 / /c rw - cgroup2 c rw\n");
  Write("/proc/self/cgroup", "x\n0:\n0::/a\n");
  WriteV2("/c/a", "lots", 1, 0);
  WriteV2("/c", "-5", 1, 0);
  EXPECT_EQ(Read().size(), 1u);
}

TEST_F(MemoryPoolTest, AHostWithoutMeminfoIsAnError) {
  Write("/proc/meminfo", "");
  EXPECT_TRUE(absl::IsInternal(ReadMemoryPools(root_.path()).status()));
}

}  // namespace
}  // namespace spearfish
