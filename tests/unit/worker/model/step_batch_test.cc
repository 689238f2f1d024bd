#include "worker/model/step_batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <span>
#include <vector>

#include "common/base/bytes.h"
#include "kernels/cpu/cpu_device.h"

namespace spearfish::worker {
namespace {

using testing::ElementsAre;

// A block of 10 units of 256 bytes, two of them in an extent of 21 units.
const KvLayout kLayout(
    {.num_layers = 5, .num_kv_heads = 1, .head_dim = 8, .block_tokens = 4, .dtype = DType::kF32},
    uint64_t{21} * kKvAddressUnit);
// The kernels' ids of blocks 0 to 9.
constexpr int32_t kIds[] = {0, 10, 21, 31, 42, 52, 63, 73, 84, 94};

const StepLimits kLimits{
    .vocab_size = 100,
    .num_kv_blocks = 10,
    .kv = kLayout,
    .options = {
        .max_model_len = 12, .max_step_tokens = 8, .max_step_sequences = 3, .kv_block_tokens = 4}};

class StepBatchTest : public testing::Test {
 protected:
  void SetUp() override {
    auto device = kernels::CpuDevice::Create({.budget_bytes = kMiB});
    ASSERT_TRUE(device.ok()) << device.status();
    device_ = *std::move(device);
    auto stream = device_->CreateStream("test");
    ASSERT_TRUE(stream.ok()) << stream.status();
    stream_ = *std::move(stream);
    auto staged = StagedMemory::Create(*device_, StepBatchBytes(kLimits.options), "inputs");
    ASSERT_TRUE(staged.ok()) << staged.status();
    staged_ = *std::move(staged);
  }

  StepBatch Pack(const StepInput& input) {
    const StepBatch batch = PackStep(input, kLimits, *staged_);
    staged_->Upload(*stream_);
    stream_->Synchronize();
    return batch;
  }

  template <typename T>
  static std::vector<T> Values(const T* device, size_t count) {
    return {device, device + count};
  }

  std::unique_ptr<kernels::CpuDevice> device_;
  std::unique_ptr<kernels::Stream> stream_;
  std::unique_ptr<StagedMemory> staged_;
};

TEST_F(StepBatchTest, PositionsFollowFromContextAndSlotsFromBlocks) {
  const std::vector<TokenId> chunk = {10, 11, 12};
  const std::vector<TokenId> decode = {20};
  const std::vector<uint32_t> chunk_blocks = {7, 2};
  const std::vector<uint32_t> decode_blocks = {9, 1, 3};
  const std::vector<StepSequence> sequences = {
      {.token_ids = chunk, .context_len = 6, .block_table = chunk_blocks},
      {.token_ids = decode, .context_len = 9, .block_table = decode_blocks}};
  const StepBatch batch = Pack({.sequences = sequences});
  EXPECT_EQ(batch.num_rows, 4u);
  EXPECT_EQ(batch.num_seqs, 2u);
  EXPECT_EQ(batch.max_blocks, 4u);  // 3, rounded up
  EXPECT_THAT(Values(batch.token_ids, 4), ElementsAre(10, 11, 12, 20));
  EXPECT_THAT(Values(batch.positions, 4), ElementsAre(3, 4, 5, 8));
  EXPECT_THAT(Values(batch.slots, 4),
              ElementsAre(kIds[7] * 4 + 3, kIds[2] * 4 + 0, kIds[2] * 4 + 1, kIds[3] * 4));
  EXPECT_THAT(Values(batch.query_starts, 3), ElementsAre(0, 3, 4));
  EXPECT_THAT(Values(batch.context_lens, 2), ElementsAre(6, 9));
  EXPECT_THAT(Values(batch.block_tables, 8),
              ElementsAre(kIds[7], kIds[2], 0, 0, kIds[9], kIds[1], kIds[3], 0));
}

TEST_F(StepBatchTest, BlocksBeyondTheContextAreNotLookedAt) {
  const std::vector<TokenId> tokens = {1};
  const std::vector<uint32_t> blocks = {0, 99999};
  const std::vector<StepSequence> sequences = {
      {.token_ids = tokens, .context_len = 4, .block_table = blocks}};
  EXPECT_EQ(Pack({.sequences = sequences}).max_blocks, 1u);
}

TEST_F(StepBatchTest, SampledLogitRowsComeFirst) {
  const std::vector<TokenId> tokens = {1, 2, 3, 4};
  const std::vector<uint32_t> blocks = {0};
  const std::vector<StepSequence> sequences = {
      {.token_ids = tokens, .context_len = 4, .block_table = blocks}};
  const std::vector<StepLogitRow> rows = {
      {.row = 0, .sample = false, .target = 2, .sampling = {}},
      {.row = 1, .sample = true, .target = 0, .sampling = {.seed = 5}},
      {.row = 2, .sample = false, .target = 4, .sampling = {}},
      {.row = 3, .sample = true, .target = 0, .sampling = {.seed = 6}}};
  const StepInput input{.sequences = sequences, .logit_rows = rows, .history = {}, .biases = {}};
  const StepBatch batch = Pack(input);
  EXPECT_EQ(batch.num_sampled, 2u);
  EXPECT_THAT(Values(batch.logit_rows, 4), ElementsAre(1, 3, 0, 2));
  EXPECT_THAT(Values(batch.targets, 4), ElementsAre(0, 0, 2, 4));
  EXPECT_EQ(batch.sampling[0].seed, 5u);
  EXPECT_EQ(batch.sampling[1].seed, 6u);
  std::vector<uint32_t> order;
  ForEachLogitRow(input, batch, [&](uint32_t, uint32_t d) { order.push_back(d); });
  EXPECT_THAT(order, ElementsAre(2, 0, 3, 1));
}

TEST_F(StepBatchTest, TheLargestStepFits) {
  const std::vector<TokenId> three = {1, 2, 3};
  const std::vector<TokenId> two = {4, 5};
  const std::vector<std::vector<uint32_t>> blocks = {{0, 1, 2}, {3, 4, 5}, {6, 7, 8}};
  const std::vector<StepSequence> sequences = {
      {.token_ids = three, .context_len = 12, .block_table = blocks[0]},
      {.token_ids = three, .context_len = 12, .block_table = blocks[1]},
      {.token_ids = two, .context_len = 12, .block_table = blocks[2]}};
  std::vector<StepLogitRow> rows;
  for (uint32_t i = 0; i < 8; ++i) {
    rows.push_back({.row = i, .sample = true, .target = 0, .sampling = {}});
  }
  const std::vector<int32_t> history(size_t{3} * 12, 1);
  const std::vector<kernels::LogitBias> biases(size_t{3} * kMaxLogitBiases);
  EXPECT_EQ(Pack({.sequences = sequences, .logit_rows = rows, .history = history, .biases = biases})
                .num_rows,
            8u);
}

class StepBatchDeathTest : public StepBatchTest {
 protected:
  // The device's threads run: the child starts the test anew instead of forking them.
  StepBatchDeathTest() { testing::FLAGS_gtest_death_test_style = "threadsafe"; }

  void ExpectDeath(const std::vector<TokenId>& tokens, uint32_t context_len,
                   const std::vector<uint32_t>& blocks, const char* what) {
    const std::vector<StepSequence> sequences = {
        {.token_ids = tokens, .context_len = context_len, .block_table = blocks}};
    EXPECT_DEATH(Pack({.sequences = sequences}), what);
  }
};

TEST_F(StepBatchDeathTest, ChecksTheEngineKeepsTheLimits) {
  ExpectDeath({}, 1, {0}, "empty");
  ExpectDeath({100}, 1, {0}, "vocab_size");
  ExpectDeath({1, 2}, 1, {0}, "context_len");
  ExpectDeath({1}, 13, {0, 1, 2, 3}, "max_model_len");
  ExpectDeath({1}, 5, {0}, "block_table");
  ExpectDeath({1}, 1, {10}, "num_kv_blocks");
  ExpectDeath({1, 2, 3, 4, 5, 6, 7, 8, 9}, 9, {0, 1, 2}, "MostStepTokens");
}

TEST_F(StepBatchDeathTest, ChecksLogitRows) {
  const std::vector<TokenId> tokens = {1, 2};
  const std::vector<uint32_t> blocks = {0};
  const std::vector<StepSequence> sequences = {
      {.token_ids = tokens, .context_len = 2, .block_table = blocks}};
  const auto pack = [&](const std::vector<StepLogitRow>& rows) {
    Pack({.sequences = sequences, .logit_rows = rows, .history = {}, .biases = {}});
  };
  EXPECT_DEATH(pack({{.row = 2, .sample = true, .target = 0, .sampling = {}}}), "num_rows");
  EXPECT_DEATH(pack({{.row = 1, .sample = true, .target = 0, .sampling = {}},
                     {.row = 1, .sample = true, .target = 0, .sampling = {}}}),
               "row");
  EXPECT_DEATH(pack({{.row = 0, .sample = false, .target = 100, .sampling = {}}}), "vocab_size");
  EXPECT_DEATH(pack({{.row = 0, .sample = true, .target = 0, .sampling = {.num_prompt = 1}}}),
               "history");
  EXPECT_DEATH(pack({{.row = 0, .sample = true, .target = 0, .sampling = {.num_biases = 1}}}),
               "biases");
}

}  // namespace
}  // namespace spearfish::worker
