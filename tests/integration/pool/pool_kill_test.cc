// Workers that die while their pool is being refilled, beside one that lives.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/bytes.h"
#include "tests/integration/worker/worker_process.h"
#include "tests/support/synthetic_checkpoint.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_data.h"

namespace spearfish::worker {
namespace {

constexpr uint32_t kPromptTokens = 400;  // far more than one step holds: it borrows soft frames
constexpr int kKills = 10;

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

std::vector<uint32_t> Prompt(uint32_t number) {
  std::vector<uint32_t> ids;
  for (uint32_t i = 0; i < kPromptTokens; ++i) ids.push_back((number * 313 + i * i + 7 * i) % 2000);
  return ids;
}

// The tokens; fewer when the worker died.
std::vector<uint32_t> Generate(WorkerProcess& worker, uint32_t prompt) {
  v1::GenerateStreamRequest request;
  for (const uint32_t id : Prompt(prompt)) request.mutable_token_ids()->add_ids(id);
  request.mutable_sampling()->set_temperature(0);
  request.mutable_stopping()->set_max_tokens(12);
  request.mutable_stopping()->set_ignore_eos(true);
  grpc::ClientContext context;
  const auto reader = worker.inference().GenerateStream(&context, request);
  std::vector<uint32_t> tokens;
  v1::GenerateStreamResponse message;
  while (reader->Read(&message)) {
    const auto& ids = message.delta().token_ids();
    tokens.insert(tokens.end(), ids.begin(), ids.end());
  }
  reader->Finish();
  return tokens;
}

v1::ExpertCacheStats Stats(WorkerProcess& worker) {
  grpc::ClientContext context;
  v1::GetExpertCacheStatsResponse stats;
  EXPECT_TRUE(worker.control().GetExpertCacheStats(&context, {}, &stats).ok());
  return stats.workers_size() == 1 ? stats.workers(0) : v1::ExpertCacheStats();
}

class PoolKill : public testing::Test {
 protected:
  void SetUp() override { tests::WriteSyntheticCheckpoint(Checkpoint(), checkpoint_.path()); }

  // With room for a good part of the experts, and little for steps.
  std::unique_ptr<WorkerProcess> Start(const std::string& name) {
    auto worker = std::make_unique<WorkerProcess>(std::vector<std::string>{
        absl::StrCat("--model=", checkpoint_.path()), absl::StrCat("--shm-dir=", shm_.path()),
        absl::StrCat("--listen=unix:", shm_.File(name)), "--threads=1", TestDeviceFlag(),
        "--vram-budget=20MiB", "--max-model-len=512", "--max-num-seqs=4",
        "--max-num-batched-tokens=16", "--max-prefill-tokens=400", "--hard-share=0.2"});
    EXPECT_TRUE(worker->WaitUntilReady());
    return worker;
  }

  const tests::TempDir checkpoint_;
  const tests::TempDir shm_;
};

TEST_F(PoolKill, DyingDuringAReloadHurtsNobody) {
  const auto survivor = Start("survivor");
  EXPECT_GT(Stats(*survivor).coverage(), 0.2);
  EXPECT_LT(Stats(*survivor).coverage(), 0.95);
  std::vector<std::vector<uint32_t>> expected;
  for (uint32_t p = 0; p < 3; ++p) expected.push_back(Generate(*survivor, p));
  while (Stats(*survivor).reloads().count() == 0) {  // they come in the background
  }

  double slowest_seconds = 0;
  for (int kill = 0; kill < kKills; ++kill) {
    const absl::Time begin = absl::Now();
    auto victim = Start(absl::StrCat("victim", kill));
    slowest_seconds = std::max(slowest_seconds, absl::ToDoubleSeconds(absl::Now() - begin));
    EXPECT_FALSE(Stats(*victim).populated_here());
    EXPECT_EQ(Generate(*victim, 0), expected[0]);
    // Prompts one after the other until it dies.
    std::thread load([&victim] {
      for (uint32_t p = 0; Generate(*victim, p % 3).size() == 12; ++p) {
      }
    });
    // Frames go out and come back with each prompt; the kill hits somewhere in it.
    const uint64_t reloads = Stats(*victim).reloads().count();
    while (Stats(*victim).reloads().count() <= reloads + static_cast<uint64_t>(kill)) {
    }
    victim->Signal(SIGKILL);
    load.join();
    EXPECT_EQ(victim->Wait(), 128 + SIGKILL);
    for (uint32_t p = 0; p < 3; ++p) EXPECT_EQ(Generate(*survivor, p), expected[p]) << kill;
  }
  std::printf("%d workers killed during reloads; a restarted one was ready after %.2f s at most\n",
              kKills, slowest_seconds);
}

}  // namespace
}  // namespace spearfish::worker
