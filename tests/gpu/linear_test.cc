#include <algorithm>
#include <cmath>

#include "tests/gpu/gpu_fixture.h"
#include "tests/gpu/gpu_tolerances.h"
#include "tests/reference/linear_reference.h"
#include "tests/reference/tolerances.h"

namespace spearfish::kernels {
namespace {

struct Shape {
  uint32_t rows;
  uint32_t outputs;
  uint32_t inputs;
};

class GpuLinearTest : public GpuKernelTest {
 protected:
  // The product on the device, beside the oracle's in `host_`.
  struct Case {
    LinearArgs host;
    LinearArgs device;
    std::vector<float> x;
    std::vector<float> bias;
    std::vector<BFloat16> narrow;
    std::vector<float> wide;
    std::vector<int8_t> bytes;
    std::vector<float> scales;
  };

  std::unique_ptr<Case> MakeCase(const Shape& shape, DType dtype, DType out_dtype, bool with_bias) {
    auto c = std::make_unique<Case>();
    c->x = RandomFloats(size_t{shape.rows} * shape.inputs);
    c->bias = RandomFloats(shape.outputs);
    c->host = {.x = nullptr,
               .weight = {nullptr, dtype, shape.outputs, shape.inputs},
               .bias = nullptr,
               .out = nullptr,
               .out_dtype = out_dtype,
               .num_rows = shape.rows};
    c->device = c->host;
    c->device.x = UploadActivations(c->x);
    MakeWeights(size_t{shape.outputs} * shape.inputs, *c);
    c->host.x = c->x.data();
    if (with_bias) {
      c->host.bias = c->bias.data();
      c->device.bias = Upload(c->bias);
    }
    return c;
  }

  void MakeWeights(size_t count, Case& c) {
    const auto give = [&](const auto& values) {
      c.host.weight.data = values.data();
      c.device.weight.data = Upload(values);
    };
    if (c.host.weight.dtype == DType::kBF16) {
      give(c.narrow = RandomBFloat16s(count));
    } else if (c.host.weight.dtype == DType::kF32) {
      give(c.wide = RandomFloats(count));
    } else {
      // All bytes from -127 to 127; values about as large as the others'.
      c.bytes.resize(count);
      for (int8_t& byte : c.bytes) byte = static_cast<int8_t>(RandomInt(255) - 127);
      give(c.bytes);
      c.scales = RandomFloats(c.host.weight.rows);
      for (float& scale : c.scales) scale = std::exp2(scale) / 73.0f;
      c.host.weight.scales = c.scales.data();
      c.device.weight.scales = Upload(c.scales);
    }
  }

  std::vector<float> Outputs(const GuardedBytes& out, DType dtype) const {
    return dtype == DType::kF32 ? Values<float>(out) : Activations(out);
  }

  void ExpectMatches(const Case& c, const std::vector<float>& actual) const {
    const std::vector<double> expected = reference::Linear(c.host);
    const size_t outputs = c.host.weight.rows;
    ASSERT_EQ(actual.size(), expected.size());
    const bool is_rounded = c.host.out_dtype == DType::kBF16;
    for (size_t row = 0; row < expected.size(); row += outputs) {
      // A row of one output can be near zero by chance: sums of this many unit terms are the scale.
      double largest = std::sqrt(c.host.weight.cols);
      for (size_t n = 0; n < outputs; ++n) largest = std::max(largest, std::abs(expected[row + n]));
      ExpectClose(std::span(actual).subspan(row, outputs),
                  {expected.begin() + static_cast<ptrdiff_t>(row),
                   expected.begin() + static_cast<ptrdiff_t>(row + outputs)},
                  {reference::kLinearTolerance * largest, is_rounded ? kBf16Output : 0});
    }
  }
};
SF_GPU_SUITE(GpuLinearTest);

TEST_P(GpuLinearTest, MatchesOracle) {
  const Shape shapes[] = {{1, 1, 1},      {1, 7, 3},      {2, 64, 64},   {3, 5, 17},
                          {4, 33, 100},   {5, 130, 31},   {7, 12, 1025}, {9, 257, 48},
                          {70, 9, 129},   {1, 40, 6144},  {8, 100, 192}, {16, 31, 576},
                          {17, 48, 1024}, {64, 77, 1088}, {65, 64, 512}, {200, 136, 264}};
  for (const Shape& shape : shapes) {
    for (const DType dtype : {DType::kBF16, DType::kF32, DType::kI8}) {
      for (const DType out_dtype : {DType::kF32, GetParam()}) {
        SCOPED_TRACE(::testing::Message() << shape.rows << " x " << shape.outputs << " x "
                                          << shape.inputs << " " << DTypeName(dtype));
        const auto c = MakeCase(shape, dtype, out_dtype, shape.rows % 2 == 1 && shape.rows < 64);
        GuardedBytes out = Output(size_t{shape.rows} * shape.outputs * DTypeBytes(out_dtype));
        c->device.out = out.data();
        RunAndReplay([&](Stream& stream) { kernels_->Linear(c->device, stream); }, {&out});
        ExpectMatches(*c, Outputs(out, out_dtype));
      }
    }
  }
}

// Each kernel of INT8 weights: by rows, and for the many-row blocks by the number of blocks; a tail
// of outputs, of rows and of half a chunk of inputs, fewer chunks than sets and stages, and more.
TEST_P(GpuLinearTest, Int8MatchesOracleInEveryKernel) {
  const Shape shapes[] = {{1, 130, 64},    {4, 33, 128},    {5, 33, 192},     {8, 97, 1216},
                          {12, 40, 2112},  {16, 65, 1024},  {31, 100, 320},   {48, 70, 1152},
                          {64, 200, 2048}, {33, 8193, 64},  {61, 8200, 192},  {64, 8192, 128},
                          {65, 128, 64},   {129, 131, 192}, {100, 257, 1088}, {257, 129, 2112},
                          {17, 16385, 64}, {65, 16385, 64}, {129, 8130, 128}};
  for (const Shape& shape : shapes) {
    for (const bool with_bias : {false, true}) {
      const DType out_dtype = with_bias ? DType::kF32 : GetParam();
      SCOPED_TRACE(::testing::Message()
                   << shape.rows << " x " << shape.outputs << " x " << shape.inputs);
      const auto c = MakeCase(shape, DType::kI8, out_dtype, with_bias);
      GuardedBytes out = Output(size_t{shape.rows} * shape.outputs * DTypeBytes(out_dtype));
      c->device.out = out.data();
      RunAndReplay([&](Stream& stream) { kernels_->Linear(c->device, stream); }, {&out});
      ExpectMatches(*c, Outputs(out, out_dtype));
    }
  }
}

// One input of each row is not 0, so that an output is one weight, whose value depends on its
// place: every byte is widened exactly, and what meets which input shows.
TEST_P(GpuLinearTest, Int8WeightsAreWidenedExactlyWhereverTheyStand) {
  constexpr uint32_t kInputs = 2176;  // 17 chunks of 128: a set has three of them
  constexpr uint32_t kOutputs = 255;
  for (const uint32_t rows : {1u, 7u, 13u, 30u, 64u, 90u}) {
    auto c = MakeCase({rows, kOutputs, kInputs}, DType::kI8, DType::kF32, false);
    for (uint32_t n = 0; n < kOutputs; ++n) {
      c->scales[n] = std::exp2(static_cast<float>(n % 5));
      for (uint32_t k = 0; k < kInputs; ++k) {
        const int value = static_cast<int>((n + k * 7) % 255) - 127;
        c->bytes[size_t{n} * kInputs + k] = static_cast<int8_t>(value);
      }
    }
    c->device.weight.scales = Upload(c->scales);
    c->device.weight.data = Upload(c->bytes);
    std::vector<float> x(size_t{rows} * kInputs, 0.0f);
    const auto place = [&](uint32_t t) { return (t * 613 + rows * 31) % kInputs; };
    for (uint32_t t = 0; t < rows; ++t) x[size_t{t} * kInputs + place(t)] = 2.0f;
    c->device.x = UploadActivations(x);
    GuardedBytes out = Output(size_t{rows} * kOutputs * sizeof(float));
    c->device.out = out.data();
    kernels_->Linear(c->device, *stream_);
    const std::vector<float> actual = Values<float>(out);
    for (uint32_t t = 0; t < rows; ++t) {
      for (uint32_t n = 0; n < kOutputs; ++n) {
        const float weight = c->bytes[size_t{n} * kInputs + place(t)];
        ASSERT_EQ(actual[size_t{t} * kOutputs + n], 2.0f * weight * c->scales[n])
            << "row " << t << " of " << rows << ", output " << n;
      }
    }
  }
}

// The kernel for many rows is chosen by the number of outputs too.
TEST_P(GpuLinearTest, BitsOfAnInt8RowAreTheSameInEveryKernel) {
  for (const uint32_t inputs : {64u, 960u, 2112u}) {
    const uint32_t outputs = 8200;
    const uint32_t rows = 300;
    const auto c = MakeCase({rows, outputs, inputs}, DType::kI8, DType::kF32, true);
    GuardedBytes out = Output(size_t{rows} * outputs * sizeof(float));
    c->device.out = out.data();
    kernels_->Linear(c->device, *stream_);
    const std::vector<float> whole = Values<float>(out);
    for (const uint32_t count : {1u, 4u, 5u, 8u, 9u, 16u, 17u, 32u, 33u, 64u, 65u, 128u, 200u}) {
      // The last outputs of the last rows, few enough outputs for the kernels of few rows.
      for (const uint32_t first_output : {0u, 7936u}) {
        const uint32_t first = rows - count;
        const uint32_t some = outputs - first_output;
        LinearArgs args = c->device;
        args.x = static_cast<const std::byte*>(c->device.x) +
                 size_t{first} * inputs * activation_bytes();
        args.weight.data =
            static_cast<const int8_t*>(c->device.weight.data) + size_t{first_output} * inputs;
        args.weight.scales = c->device.weight.scales + first_output;
        args.weight.rows = some;
        args.bias = c->device.bias + first_output;
        args.num_rows = count;
        out.Poison();
        kernels_->Linear(args, *stream_);
        const std::vector<float> part = Values<float>(out);
        for (uint32_t t = 0; t < count; ++t) {
          const auto expected = whole.begin() + size_t{first + t} * outputs + first_output;
          ASSERT_TRUE(std::equal(expected, expected + some, part.begin() + size_t{t} * some))
              << "row " << t << " of " << count << ", " << some << " outputs, " << inputs
              << " inputs";
        }
      }
    }
  }
}

// Up to CudaKernels::kOwnLinearRows rows, and any number with F32 activations, INT8 weights or when
// asked for.
TEST_P(GpuLinearTest, BitsOfARowDoNotDependOnTheBatch) {
  auto strict =
      CudaKernels::Create(*device_, {.activations = GetParam(), .strict_batch_invariance = true});
  ASSERT_TRUE(strict.ok());
  for (const DType dtype : {DType::kBF16, DType::kF32, DType::kI8}) {
    for (const uint32_t inputs : {104u, 1024u}) {
      const uint32_t outputs = 72;
      const auto c = MakeCase({150, outputs, inputs}, dtype, DType::kF32, false);
      GuardedBytes out = Output(size_t{150} * outputs * sizeof(float));
      c->device.out = out.data();
      (*strict)->Linear(c->device, *stream_);
      const std::vector<float> whole = Values<float>(out);
      for (const uint32_t count : {1u, 2u, 8u, 9u, 16u, 17u, 32u, 33u, 64u, 150u}) {
        const uint32_t first = 150 - count;
        LinearArgs args = c->device;
        args.x = static_cast<const std::byte*>(c->device.x) +
                 size_t{first} * inputs * activation_bytes();
        args.num_rows = count;
        out.Poison();
        Kernels& kernels = count > CudaKernels::kOwnLinearRows && is_bf16() ? **strict : *kernels_;
        kernels.Linear(args, *stream_);
        std::vector<float> part = Values<float>(out);
        part.resize(size_t{count} * outputs);
        EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + first * outputs))
            << count << " rows, " << inputs << " inputs, " << DTypeName(dtype);
      }
    }
  }
}

}  // namespace
}  // namespace spearfish::kernels
