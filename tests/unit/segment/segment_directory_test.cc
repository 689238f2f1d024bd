// ListSegments, VerifySegment and RemoveSegment.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "common/expert_cache/cache_plan.h"
#include "common/segment/election_lock.h"
#include "common/segment/expert_cache_segment.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_data.h"

namespace spearfish {
namespace {

using testing::StartsWith;

class SegmentDirectoryTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto checkpoint = Checkpoint::Open(tests::BundledCheckpoint()).value();
    const auto segment = ExpertCacheSegment::AttachOrPopulate(
        *checkpoint, {.directory = directory_.path()}, nullptr);
    ASSERT_TRUE(segment.ok()) << segment.status();
    name_ = (*segment)->name();
    bytes_ = (*segment)->bytes();
  }
  void Damage(size_t offset) const {
    std::string image = tests::ReadFile(directory_.File(name_));
    image[offset] = static_cast<char>(image[offset] ^ 4);
    tests::WriteFile(directory_.File(name_), image);
  }

  tests::TempDir directory_;
  std::string name_;
  uint64_t bytes_ = 0;
};

TEST_F(SegmentDirectoryTest, ListsSegmentsAndNothingElse) {
  tests::WriteFile(directory_.File("spearfish-notes"), "x");
  tests::WriteFile(directory_.File("other"), "x");
  const auto segments = ListSegments(directory_.path());
  ASSERT_TRUE(segments.ok()) << segments.status();
  ASSERT_EQ(segments->size(), 1u);
  EXPECT_EQ(segments->at(0).name, name_);
  EXPECT_EQ(segments->at(0).model_name, "qwen3-moe-3m");
  EXPECT_EQ(segments->at(0).bytes, bytes_);
  EXPECT_EQ(segments->at(0).state, "ready");
  EXPECT_EQ(segments->at(0).bits, 4u);
}

TEST_F(SegmentDirectoryTest, ListsAnUnreadableSegment) {
  Damage(130);
  EXPECT_THAT(ListSegments(directory_.path()).value().at(0).state, StartsWith("unreadable: "));
}

TEST_F(SegmentDirectoryTest, VerifyFindsAFlippedBit) {
  EXPECT_TRUE(VerifySegment(directory_.path(), name_).ok());
  Damage(bytes_ - 5000);
  EXPECT_TRUE(absl::IsDataLoss(VerifySegment(directory_.path(), name_)));
}

TEST_F(SegmentDirectoryTest, RemovesSegmentAndLockFile) {
  EXPECT_TRUE(RemoveSegment(directory_.path(), name_).ok());
  EXPECT_TRUE(std::filesystem::is_empty(directory_.path()));
  EXPECT_TRUE(absl::IsNotFound(RemoveSegment(directory_.path(), name_)));
  EXPECT_TRUE(absl::IsNotFound(VerifySegment(directory_.path(), name_)));
}

TEST_F(SegmentDirectoryTest, RefusesToRemoveWhatIsBeingPopulated) {
  const auto lock = ElectionLock::TryAcquire(directory_.File(name_));
  ASSERT_TRUE(lock.ok() && *lock != nullptr);
  EXPECT_TRUE(absl::IsFailedPrecondition(RemoveSegment(directory_.path(), name_)));
}

TEST_F(SegmentDirectoryTest, NamesCannotLeaveTheFolder) {
  for (const char* name : {"../x", "", "spearfish-", "spearfish-0123456789ABCDEF",
                           "spearfish-0123456789abcdef/../x"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(RemoveSegment(directory_.path(), name))) << name;
    EXPECT_TRUE(absl::IsInvalidArgument(VerifySegment(directory_.path(), name))) << name;
  }
}

TEST_F(SegmentDirectoryTest, ReportsAMissingFolder) {
  EXPECT_TRUE(absl::IsNotFound(ListSegments(directory_.File("no")).status()));
}

TEST_F(SegmentDirectoryTest, MappedSegmentsOutliveTheirName) {
  const auto checkpoint = Checkpoint::Open(tests::BundledCheckpoint()).value();
  const auto segment =
      ExpertCacheSegment::AttachOrPopulate(*checkpoint, {.directory = directory_.path()}, nullptr);
  ASSERT_TRUE(segment.ok());
  EXPECT_TRUE(RemoveSegment(directory_.path(), name_).ok());
  EXPECT_TRUE((*segment)->cache().VerifyAll().ok());
}

}  // namespace
}  // namespace spearfish
