#include "kernels/cpu/linear.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "common/base/bfloat16.h"
#include "kernels/cpu/simd_targets.h"
// After simd_targets.h.
#include "gtest/gtest.h"
#include "hwy/tests/hwy_gtest.h"
#include "tests/reference/linear_reference.h"
#include "tests/reference/tolerances.h"
#include "tests/unit/kernels/moe_poisoned_array.h"

namespace spearfish::kernels {
namespace {

struct Shape {
  uint32_t rows;
  uint32_t outputs;
  uint32_t inputs;
};

// Random inputs of one product; owns what args points to.
class LinearCase {
 public:
  LinearCase(Shape shape, DType dtype, bool with_bias)
      : shape_(shape), x_(size_t{shape.rows} * shape.inputs), bias_(shape.outputs) {
    std::mt19937 random(shape.rows * 7919 + shape.outputs * 31 + shape.inputs);
    std::normal_distribution<float> normal;
    for (float& value : x_) value = normal(random);
    for (float& value : bias_) value = normal(random);
    const size_t count = size_t{shape.outputs} * shape.inputs;
    weights_.resize(count * DTypeBytes(dtype));
    // The values of an I8 matrix are about as large as the others'.
    std::uniform_int_distribution<int> integer(-127, 127);
    scales_.resize(shape.outputs);
    for (float& scale : scales_) scale = std::exp2(normal(random)) / 73.0f;
    for (size_t i = 0; i < count; ++i) {
      const float value = normal(random);
      const BFloat16 narrow = ToBFloat16(value);
      if (dtype == DType::kF32) std::memcpy(&weights_[i * sizeof(value)], &value, sizeof(value));
      if (dtype == DType::kBF16) std::memcpy(&weights_[i * 2], &narrow, sizeof(narrow));
      if (dtype == DType::kI8) weights_[i] = static_cast<std::byte>(integer(random));
    }
    args_ = {.x = x_.data(),
             .weight = {.data = weights_.data(),
                        .dtype = dtype,
                        .rows = shape.outputs,
                        .cols = shape.inputs,
                        .scales = dtype == DType::kI8 ? scales_.data() : nullptr},
             .bias = with_bias ? bias_.data() : nullptr,
             .out = nullptr,
             .out_dtype = DType::kF32,
             .num_rows = shape.rows};
  }

  const LinearArgs& args() const { return args_; }

  // Rows first .. first + count of the product.
  std::vector<float> Run(uint32_t first, uint32_t count, uint32_t threads) const {
    ThreadPool pool(threads);
    PoisonedArray<float> out(size_t{count} * shape_.outputs);
    LinearArgs args = args_;
    args.x = x_.data() + size_t{first} * shape_.inputs;
    args.num_rows = count;
    args.out = out.data();
    LinearCpu(args, pool);
    EXPECT_TRUE(out.GuardsIntact());
    return {out.data(), out.data() + size_t{count} * shape_.outputs};
  }

 private:
  Shape shape_;
  std::vector<float> x_;
  std::vector<float> bias_;
  std::vector<std::byte> weights_;
  std::vector<float> scales_;
  LinearArgs args_;
};

void ExpectNear(const LinearCase& linear, const std::vector<float>& actual) {
  const std::vector<double> expected = reference::Linear(linear.args());
  ASSERT_EQ(actual.size(), expected.size());
  const size_t outputs = linear.args().weight.rows;
  for (size_t row = 0; row < expected.size(); row += outputs) {
    double largest = 0;
    for (size_t n = 0; n < outputs; ++n) largest = std::max(largest, std::abs(expected[row + n]));
    // A row of one output can be near zero by chance: sums of this many unit terms are the scale.
    largest = std::max(largest, std::sqrt(linear.args().weight.cols));
    for (size_t n = 0; n < outputs; ++n) {
      ASSERT_NEAR(actual[row + n], expected[row + n], reference::kLinearTolerance * largest)
          << "row " << row / outputs << " output " << n;
    }
  }
}

bool SameBits(const float* a, const float* b, size_t count) {
  return std::memcmp(a, b, count * sizeof(float)) == 0;
}

class LinearTest : public hwy::TestWithParamTarget {};
HWY_TARGET_INSTANTIATE_TEST_SUITE_P(LinearTest);

TEST_P(LinearTest, MatchesOracleOnOddShapes) {
  const Shape shapes[] = {{1, 1, 1},    {1, 7, 3},     {2, 64, 64},  {3, 5, 17},  {4, 33, 100},
                          {5, 130, 31}, {7, 12, 1025}, {9, 257, 48}, {70, 9, 129}};
  for (const Shape& shape : shapes) {
    for (const DType dtype : {DType::kBF16, DType::kF32, DType::kI8}) {
      SCOPED_TRACE(::testing::Message() << shape.rows << " x " << shape.outputs << " x "
                                        << shape.inputs << " " << DTypeName(dtype));
      const LinearCase linear(shape, dtype, shape.rows % 2 == 1);
      ExpectNear(linear, linear.Run(0, shape.rows, 2));
    }
  }
}

TEST_P(LinearTest, MatchesOracleOnALongSum) {
  for (const DType dtype : {DType::kBF16, DType::kI8}) {
    const LinearCase linear({3, 40, 6144}, dtype, false);
    ExpectNear(linear, linear.Run(0, 3, 1));
  }
}

TEST_P(LinearTest, RowBitsDoNotDependOnRowsOrThreads) {
  for (const uint32_t inputs : {100u, 256u}) {
    for (const DType dtype : {DType::kBF16, DType::kF32, DType::kI8}) {
      const Shape shape = {.rows = 11, .outputs = 37, .inputs = inputs};
      const LinearCase linear(shape, dtype, true);
      const std::vector<float> whole = linear.Run(0, shape.rows, 1);
      for (uint32_t threads = 1; threads <= 3; ++threads) {
        for (uint32_t count = 1; count <= shape.rows; ++count) {
          const uint32_t first = shape.rows - count;
          const std::vector<float> part = linear.Run(first, count, threads);
          EXPECT_TRUE(SameBits(part.data(), &whole[first * shape.outputs], part.size()))
              << count << " rows, " << threads << " threads";
        }
      }
    }
  }
}

TEST_P(LinearTest, DoesNothingForNoRows) {
  const LinearCase linear({1, 8, 8}, DType::kBF16, false);
  EXPECT_TRUE(linear.Run(0, 0, 2).empty());
  EXPECT_EQ(linear.Run(0, 1, 1).size(), 8u);
}

}  // namespace
}  // namespace spearfish::kernels
