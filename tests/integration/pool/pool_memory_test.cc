// What a full pool costs in host memory: nothing beyond the one segment.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/base/config.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/bytes.h"
#include "tests/integration/pool/process_memory.h"
#include "tests/integration/worker/worker_process.h"
#include "tests/support/synthetic_checkpoint.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_data.h"

namespace spearfish::worker {
namespace {

using tests::ProcessMemory;

constexpr uint64_t kBudget = 96 * kMiB + 7 * 4096;  // a size that no other mapping has
// What one process may differ from another by: heaps, stacks, gRPC's buffers, a driver's.
const uint64_t kNoise = TestDeviceIsCpu() ? kMiB : 8 * kMiB;

// 24 MiB of experts.
tests::SyntheticOptions Checkpoint() {
  return {.vocab_size = 2048,
          .hidden_size = 256,
          .num_layers = 4,
          .num_experts = 112,
          .num_experts_per_token = 4,
          .moe_intermediate_size = 128,
          .tokenizer_from = tests::BundledCheckpoint()};
}

class PoolMemory : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    // Inherited by the workers: one may else get a huge page for a stack where another gets none.
    ASSERT_EQ(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
    folder_ = new tests::TempDir;
    tests::WriteSyntheticCheckpoint(Checkpoint(), folder_->path());
  }
  static void TearDownTestSuite() { delete folder_; }

  // So many workers, all ready.
  std::vector<std::unique_ptr<WorkerProcess>> Start(uint32_t count, double coverage) {
    std::vector<std::unique_ptr<WorkerProcess>> workers;
    for (uint32_t i = 0; i < count; ++i) {
      workers.push_back(std::make_unique<WorkerProcess>(std::vector<std::string>{
          absl::StrCat("--model=", folder_->path()), absl::StrCat("--shm-dir=", shm_.path()),
          absl::StrCat("--listen=unix:", shm_.File(absl::StrCat("w", i))), "--threads=1",
          TestDeviceFlag(), absl::StrCat("--vram-budget=", kBudget),
          absl::StrCat("--max-coverage=", coverage), "--max-model-len=512",
          "--verify-cache=off"}));  // its thread would touch pages while they are counted
      EXPECT_TRUE(workers.back()->WaitUntilReady());
    }
    return workers;
  }

  static v1::ExpertCacheStats Stats(WorkerProcess& worker) {
    grpc::ClientContext context;
    v1::GetExpertCacheStatsResponse stats;
    EXPECT_TRUE(worker.control().GetExpertCacheStats(&context, {}, &stats).ok());
    return stats.workers_size() == 1 ? stats.workers(0) : v1::ExpertCacheStats();
  }

  // A GPU's memory is not in /proc: the worker says what its arena has.
  static uint64_t ArenaBytes(const v1::FrameStats& frames) {
    return frames.frame_bytes() * (uint64_t{frames.hard_slots()} + frames.soft_slots() +
                                   frames.kv() + frames.workspace() + frames.unused());
  }

  struct Sum {
    ProcessMemory memory;  // over all workers
    uint64_t pool_bytes = 0;
    uint64_t segment_bytes = 0;
    uint64_t extra_host_bytes = 0;
  };

  Sum Measure(uint32_t count, double coverage) {
    const auto workers = Start(count, coverage);
    Sum sum;
    for (const auto& worker : workers) {
      const v1::ExpertCacheStats stats = Stats(*worker);
      const ProcessMemory memory =
          tests::ReadProcessMemory(worker->pid(), stats.segment_name(), kBudget);
      sum.memory.segment_pss_bytes += memory.segment_pss_bytes;
      sum.memory.device_bytes +=
          TestDeviceIsCpu() ? memory.device_bytes : ArenaBytes(stats.frames());
      sum.memory.host_bytes += memory.host_bytes;
      sum.memory.locked_bytes += memory.locked_bytes;
      sum.pool_bytes += stats.resident() * stats.record_bytes();
      sum.segment_bytes = stats.segment_bytes();
      sum.extra_host_bytes += stats.extra_host_bytes();
      EXPECT_EQ(memory.device_bytes > 0, TestDeviceIsCpu());
    }
    Print(count, coverage, sum);
    return sum;
  }

  static void Print(uint32_t count, double coverage, const Sum& sum) {
    std::printf("%s", absl::StrFormat(
                          "| %d | %.0f %% | %s | %s | %s | %s | %s | %s | %s |\n", count,
                          100 * coverage, FormatBytes(sum.segment_bytes),
                          FormatBytes(sum.memory.segment_pss_bytes), FormatBytes(sum.pool_bytes),
                          FormatBytes(sum.memory.device_bytes), FormatBytes(sum.memory.host_bytes),
                          FormatBytes(sum.memory.locked_bytes), FormatBytes(sum.extra_host_bytes))
                          .c_str());
  }

  const tests::TempDir shm_;
  static tests::TempDir* folder_;
};

tests::TempDir* PoolMemory::folder_ = nullptr;

TEST_F(PoolMemory, AFullPoolTakesNoHostMemory) {
#if defined(ABSL_HAVE_ADDRESS_SANITIZER) || defined(ABSL_HAVE_THREAD_SANITIZER)
  GTEST_SKIP() << "a sanitizer's own memory comes on top of the worker's";
#endif
  Start(1, 0.0);  // populates: the others find the segment ready
  std::printf(
      "| workers | coverage | segment | its PSS, sum | in slots | device memory | other host "
      "memory | "
      "locked | pool's own host bytes |\n|---|---|---|---|---|---|---|---|---|\n");
  for (const uint32_t count : {1u, 2u, 4u}) {
    const Sum empty = Measure(count, 0.0);
    const Sum full = Measure(count, 1.0);
    EXPECT_GE(full.pool_bytes, count * (20 * kMiB));
    EXPECT_EQ(empty.pool_bytes, 0u);
    // The pool lies in device memory, which the host counts where it is its own, page by page; on
    // a GPU all frames are there from the start...
    const uint64_t without_pool = TestDeviceIsCpu() ? empty.memory.device_bytes : 0;
    EXPECT_GE(full.memory.device_bytes, without_pool + full.pool_bytes - count * kNoise);
    // ...and nothing of it anywhere else: a mirror or a staging buffer would show here.
    EXPECT_LE(full.memory.host_bytes, empty.memory.host_bytes + count * kNoise);
    EXPECT_LE(full.memory.locked_bytes, empty.memory.locked_bytes);
    EXPECT_LE(full.extra_host_bytes, count * kMiB);
    // The segment is there once, however many workers map it.
    EXPECT_LE(full.memory.segment_pss_bytes, full.segment_bytes + kNoise);
  }
}

}  // namespace
}  // namespace spearfish::worker
