#include "kernels/cpu/moe.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "kernels/cpu/simd_targets.h"
// After simd_targets.h.
#include "gtest/gtest.h"
#include "hwy/tests/hwy_gtest.h"
#include "tests/reference/moe_reference.h"
#include "tests/reference/tolerances.h"
#include "tests/unit/kernels/moe_poisoned_array.h"

namespace spearfish::kernels {
namespace {

struct Shape {
  uint32_t hidden;
  uint32_t intermediate;
  uint32_t bits;
  uint32_t rows;
  uint32_t k;
  uint32_t num_experts;
};

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  return out << shape.hidden << " x " << shape.intermediate << " INT" << shape.bits << ", "
             << shape.rows << " rows, " << shape.k << " of " << shape.num_experts;
}

// Random records, inputs and routing; owns what args points to.
class MoeCase {
 public:
  explicit MoeCase(const Shape& shape)
      : shape_(shape),
        layout_(reference::MakeExpertLayout(shape.hidden, shape.intermediate, shape.bits)),
        records_(shape.num_experts * layout_.record_bytes),
        x_(size_t{shape.rows} * shape.hidden) {
    for (uint32_t e = 0; e < shape.num_experts; ++e) {
      std::byte* record = records_.data() + e * layout_.record_bytes;
      reference::FillRandomRecord(layout_, e + 1, record);
      addresses_.push_back(reinterpret_cast<uint64_t>(record));
    }
    std::mt19937 random(shape.rows * 131 + shape.hidden);
    std::normal_distribution<float> normal;
    for (float& value : x_) value = normal(random);
    // Ids are drawn anew for each choice, so a row may name one expert twice.
    for (size_t pair = 0; pair < size_t{shape.rows} * shape.k; ++pair) {
      ids_.push_back(static_cast<int32_t>(random() % shape.num_experts));
      weights_.push_back(std::abs(normal(random)));
    }
  }

  float* x(uint32_t row) { return &x_[size_t{row} * shape_.hidden]; }
  void RouteAllTo(int32_t expert) { std::fill(ids_.begin(), ids_.end(), expert); }

  // Rows first .. first + count; out and workspace are the caller's.
  MoeArgs Args(uint32_t first, uint32_t count) const {
    return {.x = &x_[size_t{first} * shape_.hidden],
            .expert_ids = &ids_[size_t{first} * shape_.k],
            .expert_weights = &weights_[size_t{first} * shape_.k],
            .address_table = addresses_.data(),
            .layout = layout_,
            .num_experts = shape_.num_experts,
            .k = shape_.k,
            .out = nullptr,
            .workspace = nullptr,
            .num_rows = count};
  }

  std::vector<float> Run(uint32_t first, uint32_t count, uint32_t threads) const {
    ThreadPool pool(threads);
    PoisonedArray<float> out(size_t{count} * shape_.hidden);
    PoisonedArray<std::byte> workspace(MoeCpuWorkspaceBytes(layout_, count, shape_.k));
    MoeArgs args = Args(first, count);
    args.out = out.data();
    args.workspace = workspace.data();
    MoeCpu(args, pool);
    EXPECT_TRUE(out.GuardsIntact());
    EXPECT_TRUE(workspace.GuardsIntact());
    return {out.data(), out.data() + size_t{count} * shape_.hidden};
  }

  const Shape& shape() const { return shape_; }

 private:
  Shape shape_;
  ExpertLayout layout_;
  PoisonedArray<std::byte> records_;
  std::vector<uint64_t> addresses_;
  std::vector<float> x_;
  std::vector<int32_t> ids_;
  std::vector<float> weights_;
};

void ExpectNear(const MoeCase& moe, const std::vector<float>& actual) {
  const std::vector<double> expected = reference::Moe(moe.Args(0, moe.shape().rows));
  ASSERT_EQ(actual.size(), expected.size());
  const size_t hidden = moe.shape().hidden;
  for (size_t row = 0; row < expected.size(); row += hidden) {
    double largest = 0;
    for (size_t n = 0; n < hidden; ++n) largest = std::max(largest, std::abs(expected[row + n]));
    for (size_t n = 0; n < hidden; ++n) {
      ASSERT_NEAR(actual[row + n], expected[row + n], reference::kMoeTolerance * largest)
          << "row " << row / hidden << " output " << n;
    }
  }
}

bool SameBits(const float* a, const float* b, size_t count) {
  return std::memcmp(a, b, count * sizeof(float)) == 0;
}

class MoeTest : public hwy::TestWithParamTarget {};
HWY_TARGET_INSTANTIATE_TEST_SUITE_P(MoeTest);

TEST_P(MoeTest, MatchesOracleOverShapes) {
  const Shape shapes[] = {
      {64, 64, 4, 1, 1, 1},     {64, 64, 8, 3, 2, 2},    {192, 128, 4, 2, 3, 4},
      {192, 128, 8, 1, 1, 3},   {256, 320, 4, 5, 8, 8},  {256, 320, 8, 6, 4, 5},
      {64, 1024, 4, 7, 2, 3},   {256, 128, 4, 16, 2, 5}, {256, 128, 4, 17, 2, 5},
      {192, 320, 4, 70, 8, 11}, {64, 128, 8, 70, 5, 8},
  };
  for (const Shape& shape : shapes) {
    SCOPED_TRACE(::testing::Message() << shape);
    const MoeCase moe(shape);
    ExpectNear(moe, moe.Run(0, shape.rows, 2));
  }
}

TEST_P(MoeTest, MatchesOracleAtFullSize) {
  for (const uint32_t bits : {4u, 8u}) {
    const MoeCase moe({3072, 1024, bits, 2, 2, 2});
    ExpectNear(moe, moe.Run(0, 2, 2));
  }
}

TEST_P(MoeTest, RowBitsDoNotDependOnRowsOrThreads) {
  for (const uint32_t bits : {4u, 8u}) {
    const Shape shape = {192, 320, bits, 70, 4, 3};
    const MoeCase moe(shape);
    const std::vector<float> whole = moe.Run(0, shape.rows, 1);
    for (uint32_t threads = 1; threads <= 3; ++threads) {
      for (const uint32_t count : {1u, 2u, 3u, 4u, 5u, 16u, 17u, 33u, 70u}) {
        const uint32_t first = shape.rows - count;
        const std::vector<float> part = moe.Run(first, count, threads);
        EXPECT_TRUE(SameBits(part.data(), &whole[size_t{first} * shape.hidden], part.size()))
            << "INT" << bits << ", " << count << " rows, " << threads << " threads";
      }
    }
  }
}

TEST_P(MoeTest, ChunksOfALongPromptHaveTheBitsOfSingleRows) {
  const Shape shape = {64, 64, 4, 600, 2, 2};
  const MoeCase moe(shape);
  const std::vector<float> whole = moe.Run(0, shape.rows, 2);
  for (const uint32_t row : {0u, 511u, 512u, 599u}) {
    const std::vector<float> alone = moe.Run(row, 1, 1);
    EXPECT_TRUE(SameBits(alone.data(), &whole[size_t{row} * shape.hidden], shape.hidden)) << row;
  }
}

TEST_P(MoeTest, ExtremeIntegersDoNotOverflow) {
  // The largest inputs against the smallest weights everywhere: every group sum at its bound.
  for (const uint32_t bits : {4u, 8u}) {
    const Shape shape = {256, 128, bits, 5, 1, 1};
    MoeCase moe(shape);
    for (uint32_t row = 0; row < shape.rows; ++row) {
      std::fill_n(moe.x(row), shape.hidden, row % 2 == 0 ? 1.0f : -1.0f);
    }
    auto* record = reinterpret_cast<uint8_t*>(moe.Args(0, 1).address_table[0]);
    const ExpertLayout layout = moe.Args(0, 1).layout;
    std::memset(record + layout.gate_offset, 0, layout.w13_scales_offset);
    ExpectNear(moe, moe.Run(0, shape.rows, 1));
  }
}

TEST_P(MoeTest, LargeAndTinyInputsKeepTheirScale) {
  MoeCase moe({256, 128, 4, 4, 1, 2});
  for (uint32_t i = 0; i < 256; ++i) {
    moe.x(0)[i] *= 1e4f;
    moe.x(1)[i] *= 1e-6f;
    moe.x(2)[i] *= i < 128 ? 0.0f : 1.0f;  // one group all zero
    moe.x(3)[i] = 0.0f;
  }
  const std::vector<float> out = moe.Run(0, 4, 1);
  ExpectNear(moe, out);
  for (uint32_t i = 0; i < 256; ++i) EXPECT_EQ(out[3 * 256 + i], 0.0f);
}

TEST_P(MoeTest, NotANumberStaysInItsRow) {
  MoeCase moe({192, 128, 4, 3, 2, 2});
  const std::vector<float> clean = moe.Run(0, 3, 1);
  moe.x(1)[100] = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> out = moe.Run(0, 3, 1);
  EXPECT_TRUE(SameBits(&out[0], &clean[0], 192));
  EXPECT_TRUE(SameBits(&out[384], &clean[384], 192));
  for (uint32_t i = 192; i < 384; ++i) EXPECT_TRUE(std::isnan(out[i])) << i;
}

TEST_P(MoeTest, ManyRowsOfOneExpertMatchOracle) {
  MoeCase moe({128, 192, 4, 70, 2, 3});
  moe.RouteAllTo(2);
  ExpectNear(moe, moe.Run(0, 70, 3));
}

TEST(MoeWorkspaceTest, NeverFallsAsRowsGrow) {
  const ExpertLayout layout = reference::MakeExpertLayout(256, 1024, 4);
  uint64_t before = 0;
  for (uint32_t rows = 0; rows < 1100; ++rows) {
    const uint64_t bytes = MoeCpuWorkspaceBytes(layout, rows, 8);
    EXPECT_GE(bytes, before) << rows;
    before = bytes;
  }
  EXPECT_EQ(before, MoeCpuWorkspaceBytes(layout, 512, 8));
}

TEST(MoeNoRowsTest, DoesNothing) {
  const MoeCase moe({64, 64, 4, 1, 1, 1});
  EXPECT_TRUE(moe.Run(0, 0, 2).empty());
}

}  // namespace
}  // namespace spearfish::kernels
