// Segments that are damaged, truncated or removed while somebody waits for them or has them mapped.
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

#include "common/expert_cache/cache_verifier.h"
#include "common/segment/bus_error_message.h"
#include "common/segment/election_lock.h"
#include "common/segment/segment_look.h"
#include "tests/unit/segment/child_process.h"
#include "tests/unit/segment/segment_fixture.h"

namespace spearfish {
namespace {

using testing::HasSubstr;
using tests::ChildProcess;

class SegmentDamageTest : public tests::SegmentFixture {
 protected:
  // A segment whose first layers are ready and whose populator holds the lock, alive.
  std::unique_ptr<ChildProcess> PopulatorAt(uint32_t layers) {
    auto child = std::make_unique<ChildProcess>([this, layers](const ChildProcess::Say& say) {
      (void)Attach([&](const SegmentProgress& progress) {
        if (progress.layers_ready < layers) return;
        say('l');
        pause();
      });
      return 0;
    });
    EXPECT_EQ(child->Hear(), 'l');
    return child;
  }
  // What a waiter is told when `damage` happens after it has begun to wait.
  absl::Status WaitThrough(const std::function<void()>& damage) {
    bool done = false;
    return Attach([&](const SegmentProgress& progress) {
             if (progress.phase != SegmentPhase::kWaiting || done) return;
             done = true;
             damage();
           })
        .status();
  }
};

TEST_F(SegmentDamageTest, ATruncatedSegmentIsDataLossForItsWaiters) {
  const auto populator = PopulatorAt(1);
  for (const uint64_t bytes : {Plan().image_bytes() - 1, Plan().records_offset(), uint64_t{4097}}) {
    const absl::Status status = WaitThrough([&] { std::filesystem::resize_file(Path(), bytes); });
    EXPECT_TRUE(absl::IsDataLoss(status)) << bytes << " " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("spearfish-pack remove " + Name()));
    std::filesystem::resize_file(Path(), Plan().image_bytes());
  }
}

TEST_F(SegmentDamageTest, AFlippedHeaderBitIsDataLossForItsWaiters) {
  const auto populator = PopulatorAt(1);
  const absl::Status status = WaitThrough([&] { Overwrite(70, "\x55"); });
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("header checksum"));
}

TEST_F(SegmentDamageTest, AFlippedRecordBitIsRepairedByASuccessor) {
  const auto populator = PopulatorAt(2);
  Overwrite(Plan().layer_offset(LayerId{0}) + 1234, "\x55");
  populator->Kill();
  const auto segment = Attach();
  ASSERT_TRUE(segment.ok()) << segment.status();
  EXPECT_TRUE(VerifyCache((*segment)->cache(), {}, nullptr).ok());
}

TEST_F(SegmentDamageTest, VerifyFindsWhatAttachingDoesNot) {
  ASSERT_TRUE(Attach().ok());
  Overwrite(Plan().layer_offset(LayerId{3}) + 1234, "\x55");
  const auto segment = Attach();
  ASSERT_TRUE(segment.ok()) << segment.status();
  const absl::Status status =
      VerifyCache((*segment)->cache(), {.num_threads = 2, .stop = {}}, nullptr);
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("layer 3"));
}

TEST_F(SegmentDamageTest, AVerificationCanBeStopped) {
  const auto segment = Attach();
  ASSERT_TRUE(segment.ok()) << segment.status();
  std::stop_source stop;
  uint32_t layers = 0;
  const absl::Status status =
      VerifyCache((*segment)->cache(), {.num_threads = 1, .stop = stop.get_token()},
                  [&](uint32_t done, uint32_t) {
                    layers = done;
                    stop.request_stop();
                  });
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_EQ(layers, 1u);
}

TEST_F(SegmentDamageTest, NobodyMayWriteAReadySegment) {
  ASSERT_TRUE(Attach().ok());
  struct stat info = {};
  ASSERT_EQ(stat(Path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0444u);
  OverwriteState(CacheState::kPopulating);  // its populator died just before `ready`
  chmod(Path().c_str(), 0444);
  EXPECT_TRUE(Attach().ok());
}

TEST_F(SegmentDamageTest, TruncationUnderAReaderIsExplained) {
  const auto segment = Attach();
  ASSERT_TRUE(segment.ok()) << segment.status();
  const std::string said = files_.File("stderr");
  chmod(Path().c_str(), 0644);
  ChildProcess reader([&](const ChildProcess::Say&) {
    if (std::freopen(said.c_str(), "w", stderr) == nullptr) return 1;
    ExplainBusErrors("the segment is gone");
    std::filesystem::resize_file(Path(), 4096);
    (void)VerifyCache((*segment)->cache(), {.num_threads = 1, .stop = {}}, nullptr);
    return 0;
  });
  EXPECT_EQ(reader.Wait(), 128 + SIGBUS);
  EXPECT_EQ(tests::ReadFile(said), "the segment is gone\n");
}

TEST_F(SegmentDamageTest, AStoppedPopulatorIsWaitedForAndReplacedWhenKilled) {
  const auto populator = PopulatorAt(1);
  kill(populator->pid(), SIGSTOP);
  options_.timeout = absl::Milliseconds(50);
  EXPECT_TRUE(absl::IsDeadlineExceeded(Attach().status()));
  options_.timeout = absl::InfiniteDuration();
  const absl::Status status = WaitThrough([&] { populator->Kill(); });
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(SegmentDamageTest, AFileSizeLimitIsAnErrorAndNotASignal) {
  ChildProcess limited([&](const ChildProcess::Say&) {
    const struct rlimit limit = {65536, 65536};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 2;
    const absl::Status status = Attach().status();
    return absl::IsResourceExhausted(status) ? 0 : 1;
  });
  EXPECT_EQ(limited.Wait(), 0);
  EXPECT_TRUE(ListSegments(directory_.path()).value().empty());
}

}  // namespace
}  // namespace spearfish
