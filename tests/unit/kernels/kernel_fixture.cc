#include "tests/unit/kernels/kernel_fixture.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "kernels/cpu/cpu_device.h"
#include "kernels/cpu/cpu_kernels.h"
#include "kernels/cpu/simd_targets.h"

// After simd_targets.h, which decides what the library was compiled for.
#include "hwy/highway.h"

namespace spearfish::kernels {

std::string ParamName(const ::testing::TestParamInfo<KernelParam>& info) {
  return absl::StrCat(hwy::TargetName(info.param.target), "_threads", info.param.num_threads);
}

std::vector<KernelParam> AllKernelParams() {
  std::vector<KernelParam> params;
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    params.push_back({.target = target, .num_threads = 1});
  }
  const int64_t best = params.front().target;
  params.push_back({.target = best, .num_threads = 2});
  params.push_back({.target = best, .num_threads = 3});
  return params;
}

void KernelTest::SetUp() {
  hwy::SetSupportedTargetsForTest(GetParam().target);
  hwy::GetChosenTarget().Update(GetParam().target);
  auto device = CpuDevice::Create({.budget_bytes = uint64_t{256} << 20});
  ASSERT_TRUE(device.ok()) << device.status();
  device_ = *std::move(device);
  auto stream = device_->CreateStream("test");
  ASSERT_TRUE(stream.ok()) << stream.status();
  stream_ = *std::move(stream);
  kernels_ = MakeKernels(GetParam().num_threads);
}

void KernelTest::TearDown() {
  stream_.reset();
  kernels_.reset();
  device_.reset();
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().DeInit();
}

std::unique_ptr<Kernels> KernelTest::MakeKernels(uint32_t num_threads) {
  auto kernels = CpuKernels::Create(*device_, {.num_threads = num_threads});
  EXPECT_TRUE(kernels.ok()) << kernels.status();
  return *std::move(kernels);
}

std::vector<float> KernelTest::RandomFloats(size_t count, float deviation) {
  std::normal_distribution<float> normal(0.0f, deviation);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random_);
  return values;
}

std::vector<BFloat16> KernelTest::RandomBFloat16s(size_t count, float deviation) {
  std::vector<BFloat16> values;
  for (const float value : RandomFloats(count, deviation)) values.push_back(ToBFloat16(value));
  return values;
}

void ExpectClose(std::span<const float> actual, const std::vector<double>& expected,
                 double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    const double bound = tolerance * std::max(1.0, std::abs(expected[i]));
    // Written so that NaN fails.
    ASSERT_TRUE(std::abs(static_cast<double>(actual[i]) - expected[i]) <= bound)
        << "element " << i << ": " << actual[i] << ", expected " << expected[i];
  }
}

}  // namespace spearfish::kernels
