// Embed, RmsNorm, SiluMul and GatherRows against their oracles.
#include "tests/reference/row_operations.h"

#include <cmath>
#include <limits>

#include "tests/reference/tolerances.h"
#include "tests/unit/kernels/kernel_fixture.h"

namespace spearfish::kernels {
namespace {

constexpr uint32_t kOddDims[] = {1, 3, 15, 16, 17, 63, 64, 100, 257, 3072};

class EmbedTest : public KernelTest {};
class RmsNormTest : public KernelTest {};
class SiluMulTest : public KernelTest {};
class GatherRowsTest : public KernelTest {};
INSTANTIATE_TEST_SUITE_P(Cpu, EmbedTest, ::testing::ValuesIn(AllKernelParams()), ParamName);
INSTANTIATE_TEST_SUITE_P(Cpu, RmsNormTest, ::testing::ValuesIn(AllKernelParams()), ParamName);
INSTANTIATE_TEST_SUITE_P(Cpu, SiluMulTest, ::testing::ValuesIn(AllKernelParams()), ParamName);
INSTANTIATE_TEST_SUITE_P(Cpu, GatherRowsTest, ::testing::ValuesIn(AllKernelParams()), ParamName);

TEST_P(EmbedTest, CopiesRowsExactlyFromBothDtypes) {
  for (const uint32_t dim : kOddDims) {
    constexpr uint32_t kVocab = 50;
    constexpr uint32_t kRows = 21;
    const std::vector<BFloat16> narrow = RandomBFloat16s(size_t{kVocab} * dim);
    const std::vector<float> wide = RandomFloats(size_t{kVocab} * dim);
    std::vector<int32_t> ids(kRows);
    for (int32_t& id : ids) id = RandomInt(kVocab);
    for (const DType dtype : {DType::kBF16, DType::kF32}) {
      const void* table = dtype == DType::kBF16 ? static_cast<const void*>(narrow.data())
                                                : static_cast<const void*>(wide.data());
      GuardedArray<float> out(*device_, size_t{kRows} * dim);
      const EmbedArgs args{.ids = ids.data(),
                           .table = {table, dtype, kVocab, dim},
                           .out = out.data(),
                           .num_rows = kRows};
      RunAndReplay<float>([&](Stream& stream) { kernels_->Embed(args, stream); }, {&out});
      ExpectClose(out.values(), reference::Embed(args), 0.0);
    }
  }
}

TEST_P(EmbedTest, NoRowsDoNothing) {
  kernels_->Embed({.ids = nullptr, .table = {}, .out = nullptr, .num_rows = 0}, *stream_);
  stream_->Synchronize();
}

TEST_P(RmsNormTest, MatchesOracle) {
  for (const uint32_t dim : kOddDims) {
    constexpr uint32_t kRows = 17;
    const std::vector<float> x = RandomFloats(size_t{kRows} * dim, 3.0f);
    const std::vector<float> weight = RandomFloats(dim);
    GuardedArray<float> out(*device_, x.size());
    const RmsNormArgs args{.x = x.data(),
                           .residual = nullptr,
                           .weight = weight.data(),
                           .out = out.data(),
                           .num_rows = kRows,
                           .dim = dim,
                           .eps = 1e-6f};
    RunAndReplay<float>([&](Stream& stream) { kernels_->RmsNorm(args, stream); }, {&out});
    ExpectClose(out.values(), reference::RmsNorm(args).out, reference::kRmsNormTolerance);
  }
}

TEST_P(RmsNormTest, AddsIntoTheResidual) {
  constexpr uint32_t kRows = 5;
  constexpr uint32_t kDim = 131;
  const std::vector<float> x = RandomFloats(size_t{kRows} * kDim);
  const std::vector<float> before = RandomFloats(x.size());
  const std::vector<float> weight = RandomFloats(kDim);
  GuardedArray<float> residual(*device_, x.size());
  GuardedArray<float> out(*device_, x.size());
  const RmsNormArgs args{.x = x.data(),
                         .residual = residual.data(),
                         .weight = weight.data(),
                         .out = out.data(),
                         .num_rows = kRows,
                         .dim = kDim,
                         .eps = 1e-5f};
  stream_->Copy(residual.data(), before.data(), before.size() * sizeof(float));
  stream_->Synchronize();
  const reference::RmsNormResult expected = reference::RmsNorm(args);
  const auto run = [&](Stream& stream) {
    stream.Copy(residual.data(), before.data(), before.size() * sizeof(float));
    kernels_->RmsNorm(args, stream);
  };
  RunAndReplay<float>(run, {&residual, &out});
  ExpectClose(residual.values(), expected.residual, reference::kRmsNormTolerance);
  ExpectClose(out.values(), expected.out, reference::kRmsNormTolerance);
}

TEST_P(RmsNormTest, OutMayBeX) {
  constexpr uint32_t kRows = 3;
  constexpr uint32_t kDim = 77;
  const std::vector<float> x = RandomFloats(size_t{kRows} * kDim);
  const std::vector<float> weight = RandomFloats(kDim);
  std::vector<float> in_place = x;
  RmsNormArgs args{.x = x.data(),
                   .residual = nullptr,
                   .weight = weight.data(),
                   .out = in_place.data(),
                   .num_rows = kRows,
                   .dim = kDim,
                   .eps = 1e-6f};
  const std::vector<double> expected = reference::RmsNorm(args).out;
  args.x = in_place.data();
  kernels_->RmsNorm(args, *stream_);
  stream_->Synchronize();
  ExpectClose(in_place, expected, reference::kRmsNormTolerance);
}

TEST_P(RmsNormTest, BitsOfARowDoNotDependOnTheBatch) {
  constexpr uint32_t kRows = 64;
  constexpr uint32_t kDim = 2050;
  const std::vector<float> x = RandomFloats(size_t{kRows} * kDim);
  const std::vector<float> weight = RandomFloats(kDim);
  std::vector<float> together(x.size());
  std::vector<float> alone(x.size());
  RmsNormArgs args{.x = x.data(),
                   .residual = nullptr,
                   .weight = weight.data(),
                   .out = together.data(),
                   .num_rows = kRows,
                   .dim = kDim,
                   .eps = 1e-6f};
  kernels_->RmsNorm(args, *stream_);
  args.num_rows = 1;
  for (size_t row = 0; row < kRows; ++row) {
    args.x = x.data() + row * kDim;
    args.out = alone.data() + row * kDim;
    kernels_->RmsNorm(args, *stream_);
  }
  stream_->Synchronize();
  EXPECT_EQ(together, alone);
}

TEST_P(SiluMulTest, MatchesOracleOverTheWholeRange) {
  for (const uint32_t dim : kOddDims) {
    constexpr uint32_t kRows = 9;
    std::vector<float> gate_up = RandomFloats(size_t{kRows} * 2 * dim, 4.0f);
    gate_up[0] = -200.0f;  // exp(200) is beyond float32
    if (dim > 2) {
      gate_up[1] = 200.0f;
      gate_up[2] = -88.5f;
    }
    GuardedArray<float> out(*device_, size_t{kRows} * dim);
    const SiluMulArgs args{
        .gate_up = gate_up.data(), .out = out.data(), .num_rows = kRows, .dim = dim};
    RunAndReplay<float>([&](Stream& stream) { kernels_->SiluMul(args, stream); }, {&out});
    ExpectClose(out.values(), reference::SiluMul(args), reference::kSiluMulTolerance);
  }
}

TEST_P(SiluMulTest, NaNStaysNaN) {
  const std::vector<float> gate_up = {std::numeric_limits<float>::quiet_NaN(), 1.0f, 1.0f, 2.0f};
  std::vector<float> out(2);
  kernels_->SiluMul({.gate_up = gate_up.data(), .out = out.data(), .num_rows = 1, .dim = 2},
                    *stream_);
  stream_->Synchronize();
  EXPECT_TRUE(std::isnan(out[0]));
  EXPECT_FALSE(std::isnan(out[1]));
}

TEST_P(GatherRowsTest, CopiesTheNamedRows) {
  for (const uint32_t dim : kOddDims) {
    const std::vector<float> x = RandomFloats(size_t{10} * dim);
    const std::vector<int32_t> rows = {9, 0, 3, 3, 7};
    GuardedArray<float> out(*device_, rows.size() * dim);
    const GatherRowsArgs args{.x = x.data(),
                              .rows = rows.data(),
                              .out = out.data(),
                              .num_rows = static_cast<uint32_t>(rows.size()),
                              .dim = dim};
    RunAndReplay<float>([&](Stream& stream) { kernels_->GatherRows(args, stream); }, {&out});
    ExpectClose(out.values(), reference::GatherRows(args), 0.0);
  }
}

}  // namespace
}  // namespace spearfish::kernels
