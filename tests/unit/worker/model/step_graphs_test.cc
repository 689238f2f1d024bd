#include "worker/model/step_graphs.h"

#include <gtest/gtest.h>

#include <memory>

#include "common/base/bytes.h"
#include "kernels/cpu/cpu_device.h"

namespace spearfish::worker {
namespace {

class StepGraphsTest : public testing::Test {
 protected:
  void SetUp() override {
    auto device = kernels::CpuDevice::Create({.budget_bytes = kMiB});
    ASSERT_TRUE(device.ok()) << device.status();
    device_ = *std::move(device);
    auto stream = device_->CreateStream("steps");
    ASSERT_TRUE(stream.ok()) << stream.status();
    stream_ = *std::move(stream);
  }

  // A step that copies `from_` to `to_`.
  void Step(const StepShape& shape) {
    graphs_.Run(shape, *stream_, [this] {
      ++num_enqueued_;
      stream_->Copy(&to_, &from_, sizeof(to_));
    });
    stream_->Synchronize();
  }

  int from_ = 0;
  int to_ = 0;
  int num_enqueued_ = 0;
  std::unique_ptr<kernels::CpuDevice> device_;
  std::unique_ptr<kernels::Stream> stream_;
  StepGraphs graphs_;
};

TEST_F(StepGraphsTest, EveryStepRunsAndTheThirdIsNotEnqueuedAnew) {
  for (int i = 1; i <= 5; ++i) {
    from_ = i;
    Step({.num_rows = 2, .num_seqs = 2});
    EXPECT_EQ(to_, i);
  }
  EXPECT_EQ(num_enqueued_, 2);  // as it is, and for the capture
  EXPECT_EQ(graphs_.num_graphs(), 1u);
  EXPECT_EQ(graphs_.num_launches(), 4u);
}

TEST_F(StepGraphsTest, AnotherShapeIsAnotherGraph) {
  for (int i = 0; i < 2; ++i) {
    Step({.num_rows = 1, .num_seqs = 1});
    Step({.num_rows = 2, .num_seqs = 2});
    Step({.num_rows = 2, .num_seqs = 2, .has_logprobs = true});
    Step({.num_rows = 2, .num_seqs = 2, .workspace_rows = 7});
  }
  EXPECT_EQ(graphs_.num_graphs(), 4u);
}

TEST_F(StepGraphsTest, PrefillIsNotCaptured) {
  for (int i = 0; i < 4; ++i) {
    Step({.num_rows = 5, .num_seqs = 2});
    Step({.num_rows = StepGraphs::kMaxRows + 1, .num_seqs = StepGraphs::kMaxRows + 1});
  }
  EXPECT_EQ(graphs_.num_graphs(), 0u);
  EXPECT_EQ(num_enqueued_, 8);
}

TEST_F(StepGraphsTest, StartsAnewWhenThereAreTooManyShapes) {
  for (uint32_t shape = 0; shape < StepGraphs::kMaxGraphs + 3; ++shape) {
    for (int i = 0; i < 2; ++i) {
      from_ = static_cast<int>(shape);
      Step({.num_rows = 1, .num_seqs = 1, .max_blocks = shape});
      EXPECT_EQ(to_, static_cast<int>(shape));
    }
  }
  EXPECT_LE(graphs_.num_graphs(), StepGraphs::kMaxGraphs);
}

}  // namespace
}  // namespace spearfish::worker
