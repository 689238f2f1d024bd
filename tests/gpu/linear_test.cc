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
    if (dtype == DType::kBF16) {
      c->narrow = RandomBFloat16s(size_t{shape.outputs} * shape.inputs);
      c->host.weight.data = c->narrow.data();
      c->device.weight.data = Upload(c->narrow);
    } else {
      c->wide = RandomFloats(size_t{shape.outputs} * shape.inputs);
      c->host.weight.data = c->wide.data();
      c->device.weight.data = Upload(c->wide);
    }
    c->host.x = c->x.data();
    if (with_bias) {
      c->host.bias = c->bias.data();
      c->device.bias = Upload(c->bias);
    }
    return c;
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
    for (const DType dtype : {DType::kBF16, DType::kF32}) {
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

// Up to CudaKernels::kOwnLinearRows rows, and any number with F32 activations or when asked for.
TEST_P(GpuLinearTest, BitsOfARowDoNotDependOnTheBatch) {
  auto strict =
      CudaKernels::Create(*device_, {.activations = GetParam(), .strict_batch_invariance = true});
  ASSERT_TRUE(strict.ok());
  for (const DType dtype : {DType::kBF16, DType::kF32}) {
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
