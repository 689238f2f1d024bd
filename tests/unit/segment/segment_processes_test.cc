// One segment and several processes: one copy of the memory, one populator, takeover after a kill.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <memory>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "common/segment/expert_cache_segment.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_data.h"
#include "tests/unit/segment/child_process.h"

namespace spearfish {
namespace {

using tests::ChildProcess;

class SegmentProcessesTest : public testing::Test {
 protected:
  SegmentProcessesTest() {
    checkpoint_ = Checkpoint::Open(tests::BundledCheckpoint()).value();
    options_.directory = directory_.path();
    options_.num_threads = 2;
  }
  absl::StatusOr<std::unique_ptr<ExpertCacheSegment>> Attach(
      const SegmentProgressFn& progress = nullptr) const {
    return ExpertCacheSegment::AttachOrPopulate(*checkpoint_, options_, progress);
  }

  std::unique_ptr<Checkpoint> checkpoint_;
  tests::TempDir directory_;
  SegmentOptions options_;
};

// Pss of the mapping of `file` in a process, from smaps.
uint64_t PssBytes(pid_t pid, const std::string& file) {
  std::ifstream smaps("/proc/" + std::to_string(pid) + "/smaps");
  uint64_t kibibytes = 0;
  bool inside = false;
  for (std::string line; std::getline(smaps, line);) {
    if (line.find('-') != std::string::npos && line.find(':') > line.find('-')) {
      inside = line.find(file) != std::string::npos;
    }
    std::istringstream words(line);
    std::string key;
    uint64_t value = 0;
    if (inside && words >> key >> value && key == "Pss:") kibibytes += value;
  }
  return kibibytes * 1024;
}

// Reads a byte of every page.
uint8_t Touch(std::span<const std::byte> bytes) {
  uint8_t sum = 0;
  for (size_t i = 0; i < bytes.size(); i += 4096) sum ^= static_cast<uint8_t>(bytes[i]);
  return sum;
}

TEST_F(SegmentProcessesTest, TwoProcessesHaveTheExpertsInMemoryOnce) {
  std::string name;
  uint64_t bytes = 0;
  {
    const auto segment = Attach();
    ASSERT_TRUE(segment.ok()) << segment.status();
    name = (*segment)->name();
    bytes = (*segment)->bytes();
  }
  const auto map_and_touch = [&](const ChildProcess::Say& say) {
    const auto segment = Attach();
    if (!segment.ok() || (*segment)->populated_here()) return 1;
    volatile uint8_t sink = Touch((*segment)->cache().image());
    (void)sink;
    say('y');
    pause();
    return 0;
  };
  ChildProcess first(map_and_touch);
  ChildProcess second(map_and_touch);
  ASSERT_EQ(first.Hear(), 'y');
  ASSERT_EQ(second.Hear(), 'y');
  const uint64_t pss = PssBytes(first.pid(), name) + PssBytes(second.pid(), name);
  EXPECT_GT(pss, bytes * 98 / 100);
  EXPECT_LT(pss, bytes * 102 / 100);
}

TEST_F(SegmentProcessesTest, FourProcessesPopulateOnce) {
  std::vector<std::unique_ptr<ChildProcess>> children;
  children.reserve(4);
  for (int i = 0; i < 4; ++i) {
    children.push_back(std::make_unique<ChildProcess>([&](const ChildProcess::Say& say) {
      const auto segment = Attach();
      if (!segment.ok() || !(*segment)->cache().VerifyAll().ok()) return 1;
      say((*segment)->populated_here() ? 'p' : 'a');
      return 0;
    }));
  }
  std::string roles;
  for (const auto& child : children) {
    roles += child->Hear();
    EXPECT_EQ(child->Wait(), 0);
  }
  std::ranges::sort(roles);
  EXPECT_EQ(roles, "aaap");
}

TEST_F(SegmentProcessesTest, ASuccessorContinuesAfterAKill) {
  ChildProcess populator([&](const ChildProcess::Say& say) {
    (void)Attach([&](const SegmentProgress& progress) {
      if (progress.layers_ready < 2) return;
      say('2');
      pause();
    });
    return 0;
  });
  ASSERT_EQ(populator.Hear(), '2');
  ASSERT_EQ(ListSegments(directory_.path()).value().at(0).state, "populating 2/4");

  // A second process waits as long as the populator lives, and takes over when it is killed.
  ChildProcess successor([&](const ChildProcess::Say& say) {
    const auto segment = Attach([&](const SegmentProgress& progress) {
      if (progress.phase == SegmentPhase::kWaiting) say('w');
    });
    if (!segment.ok() || !(*segment)->cache().VerifyAll().ok()) return 1;
    say((*segment)->populated_here() ? 'p' : 'a');
    return 0;
  });
  ASSERT_EQ(successor.Hear(), 'w');
  populator.Kill();
  ASSERT_EQ(successor.Hear(), 'p');
  EXPECT_EQ(successor.Wait(), 0);
  EXPECT_EQ(ListSegments(directory_.path()).value().at(0).state, "ready");
}

TEST_F(SegmentProcessesTest, TakeoverKeepsTheLayersThatAreReady) {
  ChildProcess populator([&](const ChildProcess::Say& say) {
    (void)Attach([&](const SegmentProgress& progress) {
      if (progress.layers_ready < 3) return;
      say('3');
      pause();
    });
    return 0;
  });
  ASSERT_EQ(populator.Hear(), '3');
  populator.Kill();
  const std::string name = ListSegments(directory_.path()).value().at(0).name;
  const std::string before = tests::ReadFile(directory_.File(name));
  const auto segment = Attach();
  ASSERT_TRUE(segment.ok()) << segment.status();
  EXPECT_TRUE((*segment)->populated_here());
  const CacheView& cache = (*segment)->cache();
  for (uint32_t layer = 0; layer < 3; ++layer) {
    const auto record = cache.Record(LayerId{layer}, ExpertId{0});
    const size_t offset = static_cast<size_t>(record.data() - cache.image().data());
    EXPECT_EQ(before.compare(offset, record.size(), reinterpret_cast<const char*>(record.data()),
                             record.size()),
              0);
  }
  EXPECT_TRUE(cache.VerifyAll().ok());
}

}  // namespace
}  // namespace spearfish
