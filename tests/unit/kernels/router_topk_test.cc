#include "tests/reference/router_topk.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "tests/reference/tolerances.h"
#include "tests/unit/kernels/kernel_fixture.h"

namespace spearfish::kernels {
namespace {

class RouterTopkTest : public KernelTest {};
INSTANTIATE_TEST_SUITE_P(Cpu, RouterTopkTest, ::testing::ValuesIn(AllKernelParams()), ParamName);

struct Shape {
  uint32_t num_experts;
  uint32_t dim;
  uint32_t k;
  uint32_t num_rows;
};
constexpr Shape kShapes[] = {{1, 5, 1, 3}, {8, 64, 2, 40}, {60, 100, 60, 7}, {256, 257, 8, 33}};

// A choice may differ from the oracle's only where the two probabilities are all but equal.
void ExpectRouting(const RouterTopkArgs& args, const reference::RouterTopkResult& expected) {
  for (size_t i = 0; i < expected.ids.size(); ++i) {
    const double* p = &expected.probabilities[i / args.k * args.gate.rows];
    const int32_t id = args.expert_ids[i];
    ASSERT_TRUE(id >= 0 && id < static_cast<int32_t>(args.gate.rows));
    ASSERT_NEAR(p[id], p[expected.ids[i]], reference::kRouterTieTolerance);
    ASSERT_NEAR(args.expert_weights[i], expected.weights[i], reference::kRouterWeightTolerance);
  }
}

TEST_P(RouterTopkTest, MatchesOracleAndCounts) {
  for (const Shape& shape : kShapes) {
    for (const bool normalize : {false, true}) {
      const std::vector<float> x = RandomFloats(size_t{shape.num_rows} * shape.dim);
      const std::vector<BFloat16> gate =
          RandomBFloat16s(size_t{shape.num_experts} * shape.dim, 0.3f);
      GuardedArray<int32_t> ids(*device_, size_t{shape.num_rows} * shape.k);
      GuardedArray<float> weights(*device_, ids.values().size());
      GuardedArray<uint32_t> counts(*device_, shape.num_experts);
      std::fill(counts.values().begin(), counts.values().end(), 5);
      const RouterTopkArgs args{.x = x.data(),
                                .gate = {gate.data(), DType::kBF16, shape.num_experts, shape.dim},
                                .k = shape.k,
                                .normalize = normalize,
                                .expert_ids = ids.data(),
                                .expert_weights = weights.data(),
                                .activation_counts = counts.data(),
                                .num_rows = shape.num_rows};
      kernels_->RouterTopk(args, *stream_);
      stream_->Synchronize();
      ExpectRouting(args, reference::RouterTopk(args));
      std::vector<uint32_t> counted(shape.num_experts, 5);
      for (const int32_t id : ids.values()) ++counted[static_cast<size_t>(id)];
      EXPECT_EQ(counts.Copy(), counted);
      EXPECT_TRUE(counts.GuardsIntact());
      RunAndReplay<int32_t>([&](Stream& stream) { kernels_->RouterTopk(args, stream); }, {&ids});
      RunAndReplay<float>([&](Stream& stream) { kernels_->RouterTopk(args, stream); }, {&weights});
    }
  }
}

TEST_P(RouterTopkTest, TiesGoToTheLowerExpert) {
  constexpr uint32_t kExperts = 20;
  constexpr uint32_t kDim = 16;
  std::vector<float> gate(kExperts * kDim, 0.0f);
  gate[7 * kDim] = 1.0f;
  gate[3 * kDim] = 1.0f;
  const std::vector<float> x(kDim, 2.0f);
  std::vector<int32_t> ids(5);
  std::vector<float> weights(5);
  kernels_->RouterTopk({.x = x.data(),
                        .gate = {gate.data(), DType::kF32, kExperts, kDim},
                        .k = 5,
                        .normalize = true,
                        .expert_ids = ids.data(),
                        .expert_weights = weights.data(),
                        .activation_counts = nullptr,
                        .num_rows = 1},
                       *stream_);
  stream_->Synchronize();
  EXPECT_EQ(ids, (std::vector<int32_t>{3, 7, 0, 1, 2}));
  EXPECT_NEAR(std::accumulate(weights.begin(), weights.end(), 0.0), 1.0, 1e-6);
}

TEST_P(RouterTopkTest, NaNInputStillChoosesDistinctExperts) {
  constexpr uint32_t kExperts = 12;
  constexpr uint32_t kDim = 8;
  const std::vector<float> gate = RandomFloats(kExperts * kDim);
  const std::vector<float> x(kDim, NAN);
  std::vector<int32_t> ids(4, -1);
  std::vector<float> weights(4);
  kernels_->RouterTopk({.x = x.data(),
                        .gate = {gate.data(), DType::kF32, kExperts, kDim},
                        .k = 4,
                        .normalize = true,
                        .expert_ids = ids.data(),
                        .expert_weights = weights.data(),
                        .activation_counts = nullptr,
                        .num_rows = 1},
                       *stream_);
  stream_->Synchronize();
  EXPECT_EQ(std::set<int32_t>(ids.begin(), ids.end()).size(), 4u);
  for (const int32_t id : ids) EXPECT_TRUE(id >= 0 && id < static_cast<int32_t>(kExperts));
}

TEST_P(RouterTopkTest, BitsOfARowDoNotDependOnTheBatch) {
  constexpr Shape kShape{64, 96, 8, 50};
  const std::vector<float> x = RandomFloats(size_t{kShape.num_rows} * kShape.dim);
  const std::vector<BFloat16> gate = RandomBFloat16s(size_t{kShape.num_experts} * kShape.dim);
  std::vector<int32_t> ids(size_t{kShape.num_rows} * kShape.k);
  std::vector<float> weights(ids.size());
  RouterTopkArgs args{.x = x.data(),
                      .gate = {gate.data(), DType::kBF16, kShape.num_experts, kShape.dim},
                      .k = kShape.k,
                      .normalize = true,
                      .expert_ids = ids.data(),
                      .expert_weights = weights.data(),
                      .activation_counts = nullptr,
                      .num_rows = kShape.num_rows};
  kernels_->RouterTopk(args, *stream_);
  stream_->Synchronize();
  const std::vector<int32_t> ids_together = std::exchange(ids, std::vector<int32_t>(ids.size()));
  const std::vector<float> together = std::exchange(weights, std::vector<float>(ids.size()));
  args.num_rows = 1;
  for (size_t row = 0; row < kShape.num_rows; ++row) {
    args.x = x.data() + row * kShape.dim;
    args.expert_ids = ids.data() + row * kShape.k;
    args.expert_weights = weights.data() + row * kShape.k;
    kernels_->RouterTopk(args, *stream_);
  }
  stream_->Synchronize();
  EXPECT_EQ(ids, ids_together);
  EXPECT_EQ(weights, together);
}

}  // namespace
}  // namespace spearfish::kernels
