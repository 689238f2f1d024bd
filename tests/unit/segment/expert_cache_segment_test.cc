#include "common/segment/expert_cache_segment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "common/expert_cache/cache_image.h"
#include "common/segment/election_lock.h"
#include "tests/support/synthetic_checkpoint.h"
#include "tests/unit/segment/segment_fixture.h"

namespace spearfish {
namespace {

using testing::HasSubstr;
using tests::TempDir;

class ExpertCacheSegmentTest : public tests::SegmentFixture {};

TEST_F(ExpertCacheSegmentTest, PopulatesOnceThenAttaches) {
  std::vector<SegmentPhase> phases;
  const auto first = Attach([&](const SegmentProgress& p) { phases.push_back(p.phase); });
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_TRUE((*first)->populated_here());
  EXPECT_EQ(phases.front(), SegmentPhase::kPopulating);
  EXPECT_EQ(phases.back(), SegmentPhase::kReady);
  EXPECT_EQ((*first)->name(), Name());
  EXPECT_EQ((*first)->bytes(), Plan().image_bytes());

  phases.clear();
  const auto second = Attach([&](const SegmentProgress& p) { phases.push_back(p.phase); });
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_FALSE((*second)->populated_here());
  EXPECT_THAT(phases, testing::ElementsAre(SegmentPhase::kReady));
  EXPECT_TRUE((*second)->cache().VerifyAll().ok());
}

TEST_F(ExpertCacheSegmentTest, HoldsTheSameBytesAsAFile) {
  const auto segment = Attach();
  ASSERT_TRUE(segment.ok()) << segment.status();
  const std::string path = directory_.File("cache.sfc");
  ASSERT_TRUE(WriteCacheFile(*checkpoint_, Plan(), path, 2, nullptr).ok());
  EXPECT_TRUE(tests::ReadFile(path) == tests::ReadFile(Path()));
}

TEST_F(ExpertCacheSegmentTest, OptionsHaveSegmentsOfTheirOwn) {
  ASSERT_TRUE(Attach().ok());
  options_.quant.bits = 8;
  const auto other = Attach();
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_TRUE((*other)->populated_here());
  EXPECT_EQ((*other)->cache().quant().bits, 8u);
  EXPECT_EQ(ListSegments(directory_.path()).value().size(), 2u);
}

TEST_F(ExpertCacheSegmentTest, RefusesWhenMemoryDoesNotSuffice) {
  options_.memory_margin = 1.0;
  const absl::Status status = Attach().status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("not enough memory"));
  EXPECT_TRUE(std::filesystem::is_empty(directory_.path()));
}

TEST_F(ExpertCacheSegmentTest, RefusesASegmentOfAnotherCheckpoint) {
  CacheIdentity foreign = Plan().identity();
  foreign[20] ^= 1;  // the same name
  const CachePlan plan =
      CachePlan::Create(foreign,
                        {.hidden = 64, .intermediate = 64, .num_experts = 1, .moe_layers = {true}},
                        {}, "other")
          .value();
  std::vector<std::byte> image = NewHeaderBytes(plan);
  image.resize(plan.image_bytes());
  tests::WriteFile(Path(), std::string(reinterpret_cast<const char*>(image.data()), image.size()));
  const absl::Status status = Attach().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("another checkpoint"));
}

TEST_F(ExpertCacheSegmentTest, RefusesAnotherFormatVersion) {
  ASSERT_TRUE(Attach().ok());
  Overwrite(offsetof(CacheHeader, version), std::string("\x09\0\0\0", 4));
  EXPECT_TRUE(absl::IsFailedPrecondition(Attach().status()));
}

TEST_F(ExpertCacheSegmentTest, ContinuesAtTheFirstLayerThatIsNotReady) {
  ASSERT_TRUE(Attach().ok());
  const std::string whole = tests::ReadFile(Path());
  OverwriteState(CacheState::kPopulating);
  ClearReady(3);
  Overwrite(Plan().layer_offset(LayerId{3}), std::string(5000, 'x'));
  const auto segment = Attach();
  ASSERT_TRUE(segment.ok()) << segment.status();
  EXPECT_TRUE((*segment)->populated_here());
  EXPECT_TRUE(tests::ReadFile(Path()) == whole);
}

TEST_F(ExpertCacheSegmentTest, PacksAgainAReadyLayerWhoseChecksumIsWrong) {
  ASSERT_TRUE(Attach().ok());
  const std::string whole = tests::ReadFile(Path());
  OverwriteState(CacheState::kPopulating);
  Overwrite(Plan().layer_offset(LayerId{1}) + 77, "damage");
  const auto segment = Attach();
  ASSERT_TRUE(segment.ok()) << segment.status();
  EXPECT_TRUE((*segment)->populated_here());
  EXPECT_TRUE(tests::ReadFile(Path()) == whole);
}

TEST_F(ExpertCacheSegmentTest, ADeadPopulatorThatHadAllLayersLeavesNothingToPack) {
  ASSERT_TRUE(Attach().ok());
  OverwriteState(CacheState::kPopulating);
  const auto segment = Attach();
  ASSERT_TRUE(segment.ok()) << segment.status();
  EXPECT_FALSE((*segment)->populated_here());
}

TEST_F(ExpertCacheSegmentTest, ReplacesWhatADeadCreatorLeft) {
  tests::WriteFile(Path() + ".new", "half");
  EXPECT_EQ(ListSegments(directory_.path()).value().at(0).state, "allocating");
  ASSERT_TRUE(Attach().ok());
  EXPECT_FALSE(std::filesystem::exists(Path() + ".new"));
}

TEST_F(ExpertCacheSegmentTest, WaitersTimeOut) {
  const auto lock = ElectionLock::TryAcquire(Path());
  ASSERT_TRUE(lock.ok() && *lock != nullptr);
  options_.timeout = absl::Milliseconds(1);
  std::vector<SegmentPhase> phases;
  const absl::Status status =
      Attach([&](const SegmentProgress& p) { phases.push_back(p.phase); }).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_THAT(phases, testing::ElementsAre(SegmentPhase::kWaiting));
}

TEST_F(ExpertCacheSegmentTest, ThreadsOfOneProcessPopulateOnce) {
  std::vector<std::unique_ptr<ExpertCacheSegment>> segments(4);
  {
    std::vector<std::jthread> threads;
    threads.reserve(segments.size());
    for (auto& segment : segments) {
      threads.emplace_back([this, &segment] { segment = Attach().value(); });
    }
  }
  EXPECT_EQ(std::ranges::count_if(segments, [](const auto& s) { return s->populated_here(); }), 1);
}

TEST_F(ExpertCacheSegmentTest, AFailedSegmentIsListedAndTriedAgain) {
  tests::SyntheticOptions synthetic;
  synthetic.hidden_size = 64;
  synthetic.num_heads = 2;
  synthetic.num_kv_heads = 1;
  synthetic.num_experts = 2;
  synthetic.moe_intermediate_size = 64;
  const TempDir bad;
  tests::SyntheticCheckpoint content = tests::MakeSyntheticCheckpoint(synthetic);
  tests::SyntheticCheckpoint repaired = content;
  for (tests::NamedTensor& tensor : content.tensors) {
    if (tensor.name == "model.layers.1.mlp.experts.0.down_proj.weight") {
      const uint16_t nan = 0x7fc0;
      std::memcpy(tensor.bytes.data(), &nan, sizeof(nan));
    }
  }
  tests::WriteSyntheticCheckpoint(content, synthetic, bad.path());
  checkpoint_ = Checkpoint::Open(bad.path()).value();
  EXPECT_TRUE(absl::IsInvalidArgument(Attach().status()));
  EXPECT_EQ(ListSegments(directory_.path()).value().at(0).state, "failed");
  // The same header and size, so the same segment: it goes on at the layer that failed.
  tests::WriteSyntheticCheckpoint(repaired, synthetic, bad.path());
  checkpoint_ = Checkpoint::Open(bad.path()).value();
  const auto segment = Attach();
  ASSERT_TRUE(segment.ok()) << segment.status();
  EXPECT_TRUE((*segment)->cache().VerifyAll().ok());
}

}  // namespace
}  // namespace spearfish
