#include "worker/model/step_workspace.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "tests/golden/loaded_model.h"
#include "tests/support/test_data.h"

namespace spearfish::worker {
namespace {

class StepWorkspaceTest : public testing::Test {
 protected:
  void SetUp() override {
    auto loaded = tests::LoadedModel::Create(tests::BundledCheckpoint(),
                                             {.model = {.max_model_len = 64, .kv_blocks = 4}});
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    loaded_ = *std::move(loaded);
    const ModelConfig& config = loaded_->checkpoint->config();
    workspace_ =
        std::make_unique<StepWorkspace>(config, ModelOptions{.max_model_len = 64}.Resolved(config),
                                        loaded_->model->experts().layout(), *loaded_->kernels);
  }

  std::unique_ptr<tests::LoadedModel> loaded_;
  std::unique_ptr<StepWorkspace> workspace_;
};

TEST_F(StepWorkspaceTest, TakesMoreForMoreRows) {
  uint64_t before = 0;
  for (const uint32_t rows : {1u, 2u, 17u, 100u, 1000u}) {
    EXPECT_GT(workspace_->Bytes(rows), before);
    before = workspace_->Bytes(rows);
  }
}

TEST_F(StepWorkspaceTest, FindsTheMostRowsThatFit) {
  for (const uint32_t rows : {1u, 2u, 17u, 500u}) {
    const uint64_t bytes = workspace_->Bytes(rows);
    const uint32_t fits = workspace_->RowsThatFit(bytes, 1000);
    EXPECT_GE(fits, rows);
    EXPECT_LE(workspace_->Bytes(fits), bytes);
    EXPECT_GT(workspace_->Bytes(fits + 1), bytes);
  }
  EXPECT_EQ(workspace_->RowsThatFit(workspace_->Bytes(2000), 1000), 1000u);
  EXPECT_EQ(workspace_->RowsThatFit(0, 1000), 0u);
}

TEST_F(StepWorkspaceTest, BuffersAreAlignedAndEndBelowTheEnd) {
  constexpr uint32_t kRows = 21;
  std::vector<std::byte> memory(workspace_->Bytes(kRows) + 1000);
  for (const size_t unaligned : {0u, 1u, 255u}) {
    std::byte* const end = memory.data() + memory.size() - unaligned;
    const StepBuffers buffers = workspace_->CutBelow(end, kRows);
    const auto residual = reinterpret_cast<uintptr_t>(buffers.residual);
    EXPECT_EQ(residual % 256, 0u);
    EXPECT_GE(residual, reinterpret_cast<uintptr_t>(end) - workspace_->Bytes(kRows));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffers.logits) % 256, 0u);
    EXPECT_LT(reinterpret_cast<uintptr_t>(buffers.sample_workspace),
              reinterpret_cast<uintptr_t>(end));
    EXPECT_EQ(buffers.gate_up, nullptr);  // no dense layer
  }
}

}  // namespace
}  // namespace spearfish::worker
