#include "common/segment/memory_guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/base/bytes.h"
#include "tests/support/temp_dir.h"

namespace spearfish {
namespace {

using testing::HasSubstr;

constexpr MemoryFigures kHost{
    .total_bytes = 100 * kGiB, .available_bytes = 60 * kGiB, .mount_free_bytes = 50 * kGiB};

TEST(MemoryGuard, LeavesTheMargin) {
  EXPECT_TRUE(CheckMemory(50 * kGiB, kHost, 0.08, "/shm").ok());
  MemoryFigures large_mount = kHost;
  large_mount.mount_free_bytes = 90 * kGiB;
  EXPECT_TRUE(CheckMemory(52 * kGiB, large_mount, 0.08, "/shm").ok());
  const absl::Status status = CheckMemory(52 * kGiB + 1, large_mount, 0.08, "/shm");
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("needs 52.00 GiB"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("52.00 GiB are available"));
}

TEST(MemoryGuard, LooksAtTheMount) {
  const absl::Status status = CheckMemory(51 * kGiB, kHost, 0.08, "/shm");
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("needs 51.00 GiB, /shm has 50.00 GiB"));
}

TEST(MemoryGuard, AMarginAboveWhatIsAvailableLeavesNothing) {
  EXPECT_TRUE(absl::IsResourceExhausted(CheckMemory(1, kHost, 0.7, "/shm")));
}

TEST(MemoryGuard, ReadsThisHost) {
  const tests::TempDir folder;
  const auto figures = ReadMemoryFigures(folder.path());
  ASSERT_TRUE(figures.ok()) << figures.status();
  EXPECT_GT(figures->available_bytes, 0u);
  EXPECT_LE(figures->available_bytes, figures->total_bytes);
  EXPECT_GT(figures->mount_free_bytes, 0u);
  EXPECT_TRUE(absl::IsNotFound(ReadMemoryFigures(folder.File("no")).status()));
}

}  // namespace
}  // namespace spearfish
