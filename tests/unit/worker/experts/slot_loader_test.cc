#include "worker/experts/slot_loader.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <vector>

#include "common/base/bytes.h"
#include "tests/unit/worker/experts/pool_on_cpu.h"

namespace spearfish::worker {
namespace {

using tests::StreamGate;

constexpr uint32_t kRecordBytes = 4096;
constexpr uint32_t kNumFrames = 8;

// At most three records on their way, two a batch.
class SlotLoaderTest : public testing::Test {
 protected:
  SlotLoaderTest() {
    auto steps = device_.CreateStream("steps");
    SF_CHECK_OK(steps.status());
    steps_ = *std::move(steps);
    auto arena = FrameArena::Create(device_, kRecordBytes, kNumFrames);
    SF_CHECK_OK(arena.status());
    arena_ = *std::move(arena);
    auto loader = SlotLoader::Create({.max_bytes_in_flight = 3 * kRecordBytes,
                                      .batch_bytes = 2 * kRecordBytes,
                                      .clock = [this] { return now_; }},
                                     {.device = device_,
                                      .arena = *arena_,
                                      .record_addresses = records_.addresses(),
                                      .checker = nullptr});
    SF_CHECK_OK(loader.status());
    loader_ = *std::move(loader);
  }
  ~SlotLoaderTest() override { gate_.Release(); }

  kernels::CpuStream& copies() { return device_.stream(1); }
  void Enqueue(uint32_t frame, RecordIndex record, LoadPurpose purpose = LoadPurpose::kLoad) {
    loader_->Enqueue({FrameId{frame}, record, purpose});
  }
  void Submit() {
    loader_->AwaitSteps(*steps_);
    loader_->Submit();
  }
  // The frames of the loads that have arrived.
  std::vector<uint32_t> Arrived() {
    loader_->Poll();
    std::vector<SlotLoad> loads;
    loader_->TakeArrived(loads);
    std::vector<uint32_t> frames;
    for (const SlotLoad& load : loads) {
      frames.push_back(Index(load.frame));
      EXPECT_TRUE(Holds(Index(load.frame), load.record));
    }
    return frames;
  }
  bool Holds(uint32_t frame, RecordIndex record) const {
    return records_.Is(record, reinterpret_cast<uint64_t>(arena_->address(FrameId{frame})));
  }

  const tests::MarkedRecords records_{16, kRecordBytes};
  tests::WatchedDevice device_{kMiB};
  absl::Time now_ = absl::UnixEpoch();
  std::unique_ptr<kernels::Stream> steps_;
  std::unique_ptr<FrameArena> arena_;
  std::unique_ptr<SlotLoader> loader_;
  StreamGate gate_;
};

TEST_F(SlotLoaderTest, KeepsNoMoreOnTheirWayThanAllowed) {
  gate_.Hold(copies());
  for (uint32_t f = 0; f < 7; ++f) Enqueue(f, f + 3);
  Submit();
  EXPECT_EQ(loader_->num_on_their_way(), 3u);
  EXPECT_EQ(loader_->num_queued(), 4u);
  EXPECT_TRUE(Arrived().empty());
  gate_.Release();
  copies().Synchronize();
  EXPECT_EQ(Arrived(), (std::vector<uint32_t>{0, 1, 2}));
  loader_->Submit();
  copies().Synchronize();
  EXPECT_EQ(Arrived(), (std::vector<uint32_t>{3, 4, 5}));
  EXPECT_FALSE(loader_->idle());
  loader_->Submit();
  loader_->WaitForOne();
  EXPECT_EQ(Arrived(), (std::vector<uint32_t>{6}));
  EXPECT_TRUE(loader_->idle());
}

TEST_F(SlotLoaderTest, SubmitsNothingBeforeTheStepsAreAwaited) {
  Enqueue(0, 0);
  EXPECT_TRUE(loader_->wants_steps());
  loader_->Submit();
  EXPECT_EQ(loader_->num_on_their_way(), 0u);
  Submit();
  EXPECT_FALSE(loader_->wants_steps());
  copies().Synchronize();
  EXPECT_EQ(Arrived(), (std::vector<uint32_t>{0}));
}

TEST_F(SlotLoaderTest, CopiesWaitForTheSteps) {
  std::memset(arena_->base(), 0, size_t{kRecordBytes} * kNumFrames);
  gate_.Hold(device_.stream(0));
  // A step that still reads what was in the frame.
  std::byte seen{0xFF};
  device_.stream(0).Enqueue([this, &seen] { seen = arena_->base()[100]; });
  Enqueue(0, 5);
  Submit();
  EXPECT_TRUE(Arrived().empty());
  gate_.Release();
  copies().Synchronize();
  EXPECT_EQ(seen, std::byte{0});
  EXPECT_EQ(Arrived(), (std::vector<uint32_t>{0}));
}

TEST_F(SlotLoaderTest, AWithdrawnLoadNeverArrives) {
  gate_.Hold(copies());
  for (uint32_t f = 0; f < 5; ++f) Enqueue(f, f);
  Submit();
  loader_->Withdraw(FrameId{1}, *steps_);  // on its way
  loader_->Withdraw(FrameId{4}, *steps_);  // queued
  loader_->Withdraw(FrameId{7}, *steps_);  // nothing there
  EXPECT_EQ(loader_->num_on_their_way(), 2u);
  EXPECT_EQ(loader_->num_queued(), 1u);
  EXPECT_EQ(loader_->num_dropped(), 2u);
  // Later work of the steps' stream comes after the copy.
  steps_->Fill(arena_->address(FrameId{1}), 0xEE, kRecordBytes);
  gate_.Release();
  steps_->Synchronize();
  copies().Synchronize();
  EXPECT_EQ(arena_->address(FrameId{1})[0], std::byte{0xEE});
  EXPECT_EQ(Arrived(), (std::vector<uint32_t>{0, 2}));
  loader_->Submit();
  copies().Synchronize();
  EXPECT_EQ(Arrived(), (std::vector<uint32_t>{3}));
  EXPECT_TRUE(loader_->idle());
}

TEST_F(SlotLoaderTest, AWithdrawnArrivalIsNotTaken) {
  Enqueue(0, 0);
  Enqueue(1, 1);
  Submit();
  loader_->WaitForOne();
  loader_->Withdraw(FrameId{0}, *steps_);
  EXPECT_EQ(Arrived(), (std::vector<uint32_t>{1}));
}

TEST_F(SlotLoaderTest, TheLastLoadOfAFrameIsTheOneThatArrives) {
  gate_.Hold(copies());
  Enqueue(2, 5);
  Submit();
  loader_->Withdraw(FrameId{2}, *steps_);
  Enqueue(2, 6);
  Submit();
  gate_.Release();
  loader_->WaitForOne();
  EXPECT_TRUE(Arrived().empty() || Holds(2, 6));
  copies().Synchronize();
  Arrived();
  EXPECT_TRUE(Holds(2, 6));
  EXPECT_TRUE(loader_->idle());
}

TEST_F(SlotLoaderTest, CancelDropsWhatIsQueued) {
  gate_.Hold(copies());
  for (uint32_t f = 0; f < 6; ++f) Enqueue(f, f);
  Submit();
  std::vector<SlotLoad> cancelled;
  loader_->CancelQueued(cancelled);
  ASSERT_EQ(cancelled.size(), 3u);
  EXPECT_EQ(cancelled[0].frame, FrameId{3});
  EXPECT_EQ(loader_->num_queued(), 0u);
  gate_.Release();
  copies().Synchronize();
  EXPECT_EQ(Arrived(), (std::vector<uint32_t>{0, 1, 2}));
  EXPECT_TRUE(loader_->idle());
}

TEST_F(SlotLoaderTest, LongQueuesOfDroppedLoadsAreForgotten) {
  gate_.Hold(copies());
  for (uint32_t f = 0; f < 3; ++f) Enqueue(f, f);
  Submit();
  for (int round = 0; round < 100; ++round) {
    Enqueue(5, round % 16);
    if (round < 99) loader_->Withdraw(FrameId{5}, *steps_);
  }
  EXPECT_EQ(loader_->num_queued(), 1u);
  gate_.Release();
  copies().Synchronize();
  Arrived();
  Submit();
  copies().Synchronize();
  EXPECT_EQ(Arrived(), (std::vector<uint32_t>{5}));
  EXPECT_TRUE(Holds(5, 99 % 16));
}

TEST_F(SlotLoaderTest, SecondsOfOverlappingBatchesCountOnce) {
  gate_.Hold(copies());
  Enqueue(0, 0);
  Submit();
  now_ += absl::Seconds(2);
  Enqueue(1, 1);
  Enqueue(2, 2, LoadPurpose::kPromotion);
  Submit();
  now_ += absl::Seconds(3);
  gate_.Release();
  copies().Synchronize();
  Arrived();
  EXPECT_EQ(loader_->figures(LoadPurpose::kLoad).seconds, 5);
  EXPECT_EQ(loader_->figures(LoadPurpose::kLoad).count, 2u);
  EXPECT_EQ(loader_->figures(LoadPurpose::kLoad).bytes, 2u * kRecordBytes);
  EXPECT_EQ(loader_->figures(LoadPurpose::kPromotion).seconds, 3);
  EXPECT_EQ(loader_->figures(LoadPurpose::kReload).count, 0u);
}

}  // namespace
}  // namespace spearfish::worker
