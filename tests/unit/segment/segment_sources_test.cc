// Segments that are filled from a packed file.
#include <gmock/gmock.h>

#include <filesystem>
#include <string>
#include <vector>

#include "common/expert_cache/cache_verifier.h"
#include "tests/unit/segment/child_process.h"
#include "tests/unit/segment/segment_fixture.h"

namespace spearfish {
namespace {

using testing::HasSubstr;
using tests::ChildProcess;

class SegmentSourcesTest : public tests::SegmentFixture {
 protected:
  std::string Refusal(absl::StatusCode code) const {
    const absl::Status status = Attach().status();
    EXPECT_EQ(status.code(), code) << status;
    return std::string(status.message());
  }
};

TEST_F(SegmentSourcesTest, AFileGivesTheSameBytesAsTheCheckpoint) {
  options_.cache_file = WriteFileOfCache();
  std::vector<SegmentPhase> phases;
  const auto segment = Attach([&](const SegmentProgress& p) { phases.push_back(p.phase); });
  ASSERT_TRUE(segment.ok()) << segment.status();
  EXPECT_TRUE((*segment)->populated_here());
  EXPECT_EQ(phases.front(), SegmentPhase::kReading);
  EXPECT_EQ(phases.back(), SegmentPhase::kReady);
  EXPECT_TRUE(tests::ReadFile(options_.cache_file) == tests::ReadFile(Path()));
}

TEST_F(SegmentSourcesTest, AFileOfOtherOptionsIsRefusedBeforeAnythingIsAllocated) {
  options_.cache_file = WriteFileOfCache();
  options_.quant.bits = 8;
  const std::string text = Refusal(absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(text, HasSubstr("holds qwen3-moe-3m in 4 bits, mse, wanted is qwen3-moe-3m in 8 "
                              "bits, mse"));
  EXPECT_THAT(text, HasSubstr("spearfish-pack build"));
  EXPECT_TRUE(ListSegments(directory_.path()).value().empty());
}

TEST_F(SegmentSourcesTest, AFileOfAnotherVersionIsRefused) {
  options_.cache_file = WriteFileOfCache();
  Overwrite(offsetof(CacheHeader, version), std::string("\x09\0\0\0", 4), options_.cache_file);
  EXPECT_THAT(Refusal(absl::StatusCode::kFailedPrecondition), HasSubstr("version mismatch"));
}

TEST_F(SegmentSourcesTest, ABadFileIsAnErrorAndNotAFallback) {
  options_.cache_file = WriteFileOfCache();
  Overwrite(Plan().layer_offset(LayerId{2}) + 99, "damage", options_.cache_file);
  const std::string text = Refusal(absl::StatusCode::kDataLoss);
  EXPECT_THAT(text, HasSubstr("checksum mismatch: layer 2"));
  EXPECT_THAT(text, HasSubstr(options_.cache_file));
  EXPECT_EQ(ListSegments(directory_.path()).value().at(0).state, "failed");
  // Whoever comes next goes on where it stopped, from whatever source it was told to use.
  options_.cache_file.clear();
  const auto segment = Attach();
  ASSERT_TRUE(segment.ok()) << segment.status();
  EXPECT_TRUE(VerifyCache((*segment)->cache(), {}, nullptr).ok());
}

TEST_F(SegmentSourcesTest, AMissingOrShortFileIsAnError) {
  options_.cache_file = files_.File("none");
  EXPECT_THAT(Refusal(absl::StatusCode::kNotFound), HasSubstr(options_.cache_file));
  options_.cache_file = WriteFileOfCache();
  std::filesystem::resize_file(options_.cache_file, Plan().image_bytes() - 1);
  EXPECT_THAT(Refusal(absl::StatusCode::kDataLoss), HasSubstr("truncated"));
}

TEST_F(SegmentSourcesTest, AFileThatShrinksWhileItIsReadIsAnError) {
  options_.cache_file = WriteFileOfCache();
  const absl::Status status =
      Attach([&](const SegmentProgress& progress) {
        if (progress.layers_ready != 1) return;
        std::filesystem::resize_file(options_.cache_file, Plan().layer_offset(LayerId{2}));
      }).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("truncated while it was read"));
}

TEST_F(SegmentSourcesTest, AReadySegmentDoesNotLookAtTheFile) {
  ASSERT_TRUE(Attach().ok());
  options_.cache_file = files_.File("none");
  EXPECT_TRUE(Attach().ok());
}

TEST_F(SegmentSourcesTest, ASuccessorGoesOnReadingAfterAKill) {
  options_.cache_file = WriteFileOfCache();
  ChildProcess populator([&](const ChildProcess::Say& say) {
    (void)Attach([&](const SegmentProgress& progress) {
      if (progress.layers_ready < 2) return;
      say('2');
      pause();
    });
    return 0;
  });
  ASSERT_EQ(populator.Hear(), '2');
  populator.Kill();
  uint32_t first = 99;
  const auto segment = Attach([&](const SegmentProgress& progress) {
    if (progress.phase == SegmentPhase::kReading && first == 99) first = progress.layers_ready;
  });
  ASSERT_TRUE(segment.ok()) << segment.status();
  EXPECT_EQ(first, 0u);  // ready layers are verified one by one
  EXPECT_TRUE(tests::ReadFile(options_.cache_file) == tests::ReadFile(Path()));
}

}  // namespace
}  // namespace spearfish
