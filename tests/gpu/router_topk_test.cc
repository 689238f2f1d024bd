#include "tests/reference/router_topk.h"

#include <cmath>
#include <numeric>
#include <set>

#include "tests/gpu/gpu_fixture.h"
#include "tests/reference/tolerances.h"

namespace spearfish::kernels {
namespace {

struct Shape {
  uint32_t num_experts;
  uint32_t dim;
  uint32_t k;
  uint32_t num_rows;
};
constexpr Shape kShapes[] = {{1, 5, 1, 3},      {8, 64, 2, 40},    {60, 100, 60, 7},
                             {256, 257, 8, 33}, {256, 3072, 8, 5}, {13, 264, 3, 130},
                             {300, 1032, 9, 35}};

class GpuRouterTopkTest : public GpuKernelTest {};
SF_GPU_SUITE(GpuRouterTopkTest);

TEST_P(GpuRouterTopkTest, MatchesOracleAndCounts) {
  for (const Shape& shape : kShapes) {
    for (const bool normalize : {false, true}) {
      const bool is_wide = shape.num_experts == 13;
      std::vector<float> x = RandomFloats(size_t{shape.num_rows} * shape.dim);
      const size_t weights_count = size_t{shape.num_experts} * shape.dim;
      const std::vector<BFloat16> narrow = RandomBFloat16s(weights_count, 0.3f);
      const std::vector<float> wide = RandomFloats(weights_count, 0.3f);
      const size_t choices = size_t{shape.num_rows} * shape.k;
      GuardedBytes ids = Output(choices * sizeof(int32_t));
      GuardedBytes weights = Output(choices * sizeof(float));
      GuardedBytes counts = Output(shape.num_experts * sizeof(uint32_t));
      RouterTopkArgs args{
          .x = UploadActivations(x),
          .gate = {is_wide ? static_cast<const void*>(Upload(wide)) : Upload(narrow),
                   is_wide ? DType::kF32 : DType::kBF16, shape.num_experts, shape.dim},
          .k = shape.k,
          .normalize = normalize,
          .expert_ids = ids.as<int32_t>(),
          .expert_weights = weights.as<float>(),
          .activation_counts = counts.as<uint32_t>(),
          .num_rows = shape.num_rows};
      RunAndReplay(
          [&](Stream& stream) {
            stream.Fill(counts.data(), 1, counts.bytes());
            kernels_->RouterTopk(args, stream);
          },
          {&ids, &weights, &counts});
      args.x = x.data();
      args.gate.data = is_wide ? static_cast<const void*>(wide.data()) : narrow.data();
      const reference::RouterTopkResult expected = reference::RouterTopk(args);
      const auto chosen = Values<int32_t>(ids);
      const auto values = Values<float>(weights);
      std::vector<uint32_t> counted(shape.num_experts, 0x01010101u);
      for (size_t i = 0; i < choices; ++i) {
        const double* p = &expected.probabilities[i / shape.k * shape.num_experts];
        const int32_t id = chosen[i];
        ASSERT_TRUE(id >= 0 && id < static_cast<int32_t>(shape.num_experts));
        ASSERT_NEAR(p[id], p[expected.ids[i]], reference::kRouterTieTolerance);
        ASSERT_NEAR(values[i], expected.weights[i], reference::kRouterWeightTolerance);
        ++counted[static_cast<size_t>(id)];
      }
      EXPECT_EQ(Values<uint32_t>(counts), counted);
    }
  }
}

TEST_P(GpuRouterTopkTest, TiesGoToTheLowerExpertAndNaNStillChooses) {
  constexpr uint32_t kExperts = 20;
  constexpr uint32_t kDim = 16;
  std::vector<float> gate(kExperts * kDim, 0.0f);
  gate[7 * kDim] = 1.0f;
  gate[3 * kDim] = 1.0f;
  std::vector<float> x(2 * kDim, 2.0f);
  std::fill(x.begin() + kDim, x.end(), NAN);
  GuardedBytes ids = Output(10 * sizeof(int32_t));
  GuardedBytes weights = Output(10 * sizeof(float));
  kernels_->RouterTopk({.x = UploadActivations(x),
                        .gate = {Upload(gate), DType::kF32, kExperts, kDim},
                        .k = 5,
                        .normalize = true,
                        .expert_ids = ids.as<int32_t>(),
                        .expert_weights = weights.as<float>(),
                        .activation_counts = nullptr,
                        .num_rows = 2},
                       *stream_);
  const auto chosen = Values<int32_t>(ids);
  EXPECT_EQ(std::vector<int32_t>(chosen.begin(), chosen.begin() + 5),
            (std::vector<int32_t>{3, 7, 0, 1, 2}));
  const std::set<int32_t> of_nan(chosen.begin() + 5, chosen.end());
  EXPECT_EQ(of_nan.size(), 5u);
  EXPECT_TRUE(*of_nan.begin() >= 0 && *of_nan.rbegin() < static_cast<int32_t>(kExperts));
}

TEST_P(GpuRouterTopkTest, BitsOfARowDoNotDependOnTheBatch) {
  constexpr Shape kShape{64, 96, 8, 50};
  std::vector<float> x = RandomFloats(size_t{kShape.num_rows} * kShape.dim);
  const size_t choices = size_t{kShape.num_rows} * kShape.k;
  GuardedBytes ids = Output(choices * sizeof(int32_t));
  GuardedBytes weights = Output(choices * sizeof(float));
  const auto* x_device = static_cast<const std::byte*>(UploadActivations(x));
  RouterTopkArgs args{.x = x_device,
                      .gate = {Upload(RandomBFloat16s(size_t{kShape.num_experts} * kShape.dim)),
                               DType::kBF16, kShape.num_experts, kShape.dim},
                      .k = kShape.k,
                      .normalize = true,
                      .expert_ids = ids.as<int32_t>(),
                      .expert_weights = weights.as<float>(),
                      .activation_counts = nullptr,
                      .num_rows = kShape.num_rows};
  kernels_->RouterTopk(args, *stream_);
  const auto ids_together = Values<int32_t>(ids);
  const auto together = Values<float>(weights);
  ids.Poison();
  weights.Poison();
  args.num_rows = 1;
  for (size_t row = 0; row < kShape.num_rows; ++row) {
    args.x = x_device + row * kShape.dim * activation_bytes();
    args.expert_ids = ids.as<int32_t>() + row * kShape.k;
    args.expert_weights = weights.as<float>() + row * kShape.k;
    kernels_->RouterTopk(args, *stream_);
  }
  EXPECT_EQ(Values<int32_t>(ids), ids_together);
  EXPECT_EQ(Values<float>(weights), together);
}

}  // namespace
}  // namespace spearfish::kernels
