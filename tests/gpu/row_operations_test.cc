// Embed, RmsNorm, SiluMul and GatherRows against their oracles.
#include "tests/reference/row_operations.h"

#include <cmath>

#include "tests/gpu/gpu_fixture.h"
#include "tests/gpu/gpu_tolerances.h"
#include "tests/reference/tolerances.h"

namespace spearfish::kernels {
namespace {

constexpr uint32_t kOddDims[] = {1, 3, 15, 16, 17, 63, 64, 100, 257, 3072, 5000};

class GpuEmbedTest : public GpuKernelTest {};
class GpuRmsNormTest : public GpuKernelTest {};
class GpuSiluMulTest : public GpuKernelTest {};
class GpuGatherRowsTest : public GpuKernelTest {};
SF_GPU_SUITE(GpuEmbedTest);
SF_GPU_SUITE(GpuRmsNormTest);
SF_GPU_SUITE(GpuSiluMulTest);
SF_GPU_SUITE(GpuGatherRowsTest);

TEST_P(GpuEmbedTest, CopiesRowsFromBothDtypes) {
  constexpr uint32_t kVocab = 50;
  constexpr uint32_t kRows = 21;
  for (const uint32_t dim : kOddDims) {
    const std::vector<BFloat16> narrow = RandomBFloat16s(size_t{kVocab} * dim);
    const std::vector<float> wide = RandomFloats(size_t{kVocab} * dim);
    std::vector<int32_t> ids(kRows);
    for (int32_t& id : ids) id = RandomInt(kVocab);
    for (const DType dtype : {DType::kBF16, DType::kF32}) {
      const bool is_narrow = dtype == DType::kBF16;
      EmbedArgs args{.ids = ids.data(),
                     .table = {nullptr, dtype, kVocab, dim},
                     .out = nullptr,
                     .num_rows = kRows};
      args.table.data = is_narrow ? static_cast<const void*>(narrow.data()) : wide.data();
      const std::vector<double> expected = reference::Embed(args);
      GuardedBytes out = ActivationOutput(size_t{kRows} * dim);
      args.ids = Upload(ids);
      args.table.data = is_narrow ? static_cast<const void*>(Upload(narrow)) : Upload(wide);
      args.out = out.data();
      RunAndReplay([&](Stream& stream) { kernels_->Embed(args, stream); }, {&out});
      const bool is_exact = is_narrow || !is_bf16();
      ExpectClose(Activations(out), expected, {.relative = is_exact ? 0 : kBf16Output});
    }
  }
}

TEST_P(GpuEmbedTest, NoRowsDoNothing) {
  kernels_->Embed({.ids = nullptr, .table = {}, .out = nullptr, .num_rows = 0}, *stream_);
  stream_->Synchronize();
}

TEST_P(GpuRmsNormTest, MatchesOracleWithAndWithoutResidual) {
  constexpr uint32_t kRows = 17;
  for (const uint32_t dim : kOddDims) {
    for (const bool with_residual : {false, true}) {
      std::vector<float> x = RandomFloats(size_t{kRows} * dim, 3.0f);
      std::vector<float> before = RandomFloats(x.size());
      const std::vector<float> weight = RandomFloats(dim);
      GuardedBytes out = ActivationOutput(x.size());
      GuardedBytes residual = ActivationOutput(x.size());
      const void* x_device = UploadActivations(x);
      const void* before_device = UploadActivations(before);
      RmsNormArgs args{.x = x.data(),
                       .residual = with_residual ? before.data() : nullptr,
                       .weight = weight.data(),
                       .out = nullptr,
                       .num_rows = kRows,
                       .dim = dim,
                       .eps = 1e-6f};
      const reference::RmsNormResult expected = reference::RmsNorm(args);
      args.x = x_device;
      args.residual = with_residual ? residual.data() : nullptr;
      args.weight = Upload(weight);
      args.out = out.data();
      RunAndReplay(
          [&](Stream& stream) {
            stream.Copy(residual.data(), before_device, residual.bytes());
            kernels_->RmsNorm(args, stream);
          },
          {&out, &residual});
      const double absolute = reference::kRmsNormTolerance;
      const double relative = is_bf16() ? kBf16TwiceRounded : reference::kRmsNormTolerance;
      ExpectClose(Activations(out), expected.out, {absolute, relative});
      if (with_residual) {
        ExpectClose(Activations(residual), expected.residual, {absolute, relative});
      }
    }
  }
}

TEST_P(GpuRmsNormTest, OutMayBeXAndBitsDoNotDependOnTheBatch) {
  constexpr uint32_t kRows = 33;
  constexpr uint32_t kDim = 2056;  // rows of a multiple of 16 bytes
  std::vector<float> x = RandomFloats(size_t{kRows} * kDim);
  void* together = UploadActivations(x);
  void* alone = UploadActivations(x);
  RmsNormArgs args{.x = together,
                   .residual = nullptr,
                   .weight = Upload(RandomFloats(kDim)),
                   .out = together,
                   .num_rows = kRows,
                   .dim = kDim,
                   .eps = 1e-6f};
  kernels_->RmsNorm(args, *stream_);
  args.num_rows = 1;
  const size_t row_bytes = kDim * activation_bytes();
  for (size_t row = 0; row < kRows; ++row) {
    args.out = static_cast<std::byte*>(alone) + row * row_bytes;
    args.x = args.out;
    kernels_->RmsNorm(args, *stream_);
  }
  std::vector<std::byte> a(kRows * row_bytes);
  std::vector<std::byte> b(kRows * row_bytes);
  stream_->Copy(a.data(), together, a.size());
  stream_->Copy(b.data(), alone, b.size());
  stream_->Synchronize();
  EXPECT_TRUE(a == b);
}

TEST_P(GpuSiluMulTest, MatchesOracleOverTheWholeRange) {
  constexpr uint32_t kRows = 9;
  for (const uint32_t dim : kOddDims) {
    std::vector<float> gate_up = RandomFloats(size_t{kRows} * 2 * dim, 4.0f);
    gate_up[0] = -200.0f;  // exp(200) is beyond float32
    if (dim > 3) {
      gate_up[1] = 200.0f;
      gate_up[2] = -88.5f;
      gate_up[3] = NAN;
    }
    GuardedBytes out = ActivationOutput(size_t{kRows} * dim);
    SiluMulArgs args{
        .gate_up = UploadActivations(gate_up), .out = out.data(), .num_rows = kRows, .dim = dim};
    RunAndReplay([&](Stream& stream) { kernels_->SiluMul(args, stream); }, {&out});
    args.gate_up = gate_up.data();
    const double tolerance = reference::kSiluMulTolerance;
    ExpectClose(Activations(out), reference::SiluMul(args),
                {tolerance, is_bf16() ? kBf16Output : tolerance});
  }
}

TEST_P(GpuGatherRowsTest, CopiesTheNamedRows) {
  const std::vector<int32_t> rows = {9, 0, 3, 3, 7};
  for (const uint32_t dim : kOddDims) {
    std::vector<float> x = RandomFloats(size_t{10} * dim);
    GuardedBytes out = ActivationOutput(rows.size() * dim);
    GatherRowsArgs args{.x = UploadActivations(x),
                        .rows = Upload(rows),
                        .out = out.data(),
                        .num_rows = static_cast<uint32_t>(rows.size()),
                        .dim = dim};
    RunAndReplay([&](Stream& stream) { kernels_->GatherRows(args, stream); }, {&out});
    args.x = x.data();
    args.rows = rows.data();
    ExpectClose(Activations(out), reference::GatherRows(args), {});
  }
}

}  // namespace
}  // namespace spearfish::kernels
