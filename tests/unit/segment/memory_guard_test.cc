#include "common/segment/memory_guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/base/bytes.h"
#include "tests/support/temp_dir.h"

namespace spearfish {
namespace {

using testing::HasSubstr;

MemoryFigures Host() {
  return {
      .pools = {{.name = "host memory", .total_bytes = 100 * kGiB, .available_bytes = 60 * kGiB}},
      .mount_free_bytes = 50 * kGiB,
      .mount_name = "/shm"};
}

std::string Refusal(uint64_t needed_bytes, const MemoryFigures& figures, double margin = 0.08) {
  const absl::Status status = CheckMemory(needed_bytes, figures, margin);
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  return std::string(status.message());
}

TEST(MemoryGuard, LeavesTheMargin) {
  MemoryFigures figures = Host();
  EXPECT_TRUE(CheckMemory(50 * kGiB, figures, 0.08).ok());
  figures.mount_free_bytes = 90 * kGiB;
  EXPECT_TRUE(CheckMemory(52 * kGiB, figures, 0.08).ok());
  EXPECT_THAT(Refusal(52 * kGiB + 1, figures),
              HasSubstr("it needs 52.00 GiB, 52.00 GiB are available in host memory less the "
                        "margin of 8 % of 100.00 GiB"));
}

TEST(MemoryGuard, NamesTheCgroupThatBinds) {
  MemoryFigures figures = Host();
  figures.pools.push_back(
      {.name = "cgroup /a", .total_bytes = 50 * kGiB, .available_bytes = 44 * kGiB});
  figures.pools.push_back(
      {.name = "cgroup /", .total_bytes = 90 * kGiB, .available_bytes = 80 * kGiB});
  EXPECT_TRUE(CheckMemory(40 * kGiB, figures, 0.08).ok());
  EXPECT_THAT(Refusal(41 * kGiB, figures),
              HasSubstr("it needs 41.00 GiB, 40.00 GiB are available in cgroup /a less the margin "
                        "of 8 % of 50.00 GiB"));
}

TEST(MemoryGuard, LooksAtTheMount) {
  EXPECT_THAT(Refusal(51 * kGiB, Host()), HasSubstr("needs 51.00 GiB, /shm has 50.00 GiB free"));
}

TEST(MemoryGuard, PagesSetAsideNeedNoMargin) {
  MemoryFigures figures = Host();
  figures.pools.clear();
  EXPECT_TRUE(CheckMemory(50 * kGiB, figures, 0.9).ok());
  EXPECT_THAT(Refusal(51 * kGiB, figures), HasSubstr("50.00 GiB free"));
}

TEST(MemoryGuard, LooksAtTheResourceLimits) {
  MemoryFigures figures = Host();
  figures.file_size_limit_bytes = kGiB;
  EXPECT_THAT(
      Refusal(2 * kGiB, figures),
      HasSubstr("not enough file size for the expert cache: it needs 2.00 GiB, this process "
                "may write files of 1.00 GiB; raise ulimit -f"));
  figures = Host();
  figures.address_space_left_bytes = kGiB;
  EXPECT_THAT(Refusal(2 * kGiB, figures), HasSubstr("may map 1.00 GiB more; raise ulimit -v"));
}

TEST(MemoryGuard, AMarginAboveWhatIsAvailableLeavesNothing) {
  EXPECT_THAT(Refusal(1, Host(), 0.7), HasSubstr("0 B are available"));
}

TEST(MemoryGuard, ReadsThisHost) {
  const tests::TempDir folder;
  const auto figures = ReadMemoryFigures(folder.path());
  ASSERT_TRUE(figures.ok()) << figures.status();
  ASSERT_FALSE(figures->pools.empty());
  EXPECT_EQ(figures->pools[0].name, "host memory");
  for (const MemoryPool& pool : figures->pools) {
    EXPECT_GT(pool.available_bytes, 0u) << pool.name;
    EXPECT_LE(pool.available_bytes, pool.total_bytes) << pool.name;
  }
  EXPECT_GT(figures->mount_free_bytes, 0u);
  EXPECT_TRUE(absl::IsNotFound(ReadMemoryFigures(folder.File("no")).status()));
}

}  // namespace
}  // namespace spearfish
