// A segment on a real hugetlbfs, where this host and user can have one.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/expert_cache/cache_verifier.h"
#include "common/expert_cache/huge_pages.h"
#include "common/segment/memory_guard.h"
#include "tests/unit/segment/segment_fixture.h"

namespace spearfish {
namespace {

constexpr char kNumPages[] = "/proc/sys/vm/nr_hugepages";
constexpr int kPagesWanted = 4;

// Mounts a hugetlbfs with a few 2 MiB pages over the fixture's folder and undoes all of it.
class HugePageSegmentTest : public tests::SegmentFixture {
 protected:
  void SetUp() override {
    lock_ = open("/tmp/spearfish-huge-pages.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    flock(lock_, LOCK_EX);
    std::ifstream(kNumPages) >> before_;
    std::ofstream(kNumPages) << before_ + kPagesWanted;
    int now = 0;
    std::ifstream(kNumPages) >> now;
    changed_ = now != before_;
    mounted_ = now >= before_ + kPagesWanted &&
               mount("none", directory_.path().c_str(), "hugetlbfs", 0, "pagesize=2M") == 0;
    if (!mounted_) GTEST_SKIP() << "no huge pages or no right to mount a hugetlbfs";
  }
  void TearDown() override {
    if (mounted_) umount(directory_.path().c_str());
    if (changed_) std::ofstream(kNumPages) << before_;
    close(lock_);
  }

  int lock_ = -1;  // the number of huge pages is the host's: one test at a time
  int before_ = 0;
  bool changed_ = false;
  bool mounted_ = false;
};

TEST_F(HugePageSegmentTest, HoldsTheImageAndZerosUpToTheEndOfItsPage) {
  EXPECT_EQ(HugePageBytes(directory_.path()), 2 * kMiB);
  const std::string file = WriteFileOfCache();
  {
    const auto segment = Attach();
    ASSERT_TRUE(segment.ok()) << segment.status();
    EXPECT_EQ((*segment)->bytes(), Plan().image_bytes());
    EXPECT_EQ((*segment)->mapping().size(), AlignUp(Plan().image_bytes(), 2 * kMiB));
    EXPECT_TRUE(VerifyCache((*segment)->cache(), {}, nullptr).ok());
    EXPECT_EQ(tests::ReadFile(file).compare(
                  0, Plan().image_bytes(),
                  std::string(reinterpret_cast<const char*>((*segment)->mapping().data()),
                              Plan().image_bytes())),
              0);
  }
  const auto again = Attach();
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_FALSE((*again)->populated_here());
  EXPECT_EQ(ListSegments(directory_.path()).value().at(0).state, "ready");
  EXPECT_TRUE(VerifySegment(directory_.path(), Name()).ok());
  EXPECT_TRUE(RemoveSegment(directory_.path(), Name()).ok());
}

TEST_F(HugePageSegmentTest, APoolThatIsTooSmallIsRefusedBeforeTheFirstByte) {
  const auto figures = ReadMemoryFigures(directory_.path());
  ASSERT_TRUE(figures.ok()) << figures.status();
  EXPECT_TRUE(figures->pools.empty());
  EXPECT_GE(figures->mount_free_bytes, kPagesWanted * 2 * kMiB);
  const absl::Status status = CheckMemory(figures->mount_free_bytes + 1, *figures, 0.08);
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
}

}  // namespace
}  // namespace spearfish
