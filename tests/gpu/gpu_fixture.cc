#include "tests/gpu/gpu_fixture.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace spearfish::kernels {
namespace {

constexpr uint64_t kBudget = uint64_t{4} << 30;

}  // namespace

GuardedBytes::GuardedBytes(Device& device, Stream& stream, size_t bytes)
    : stream_(stream), bytes_(bytes) {
  auto buffer = device.Allocate(2 * kGuardBytes + bytes, "test output");
  EXPECT_TRUE(buffer.ok()) << buffer.status();
  buffer_ = *std::move(buffer);
  stream_.Fill(buffer_->data(), kGuard, buffer_->bytes());
  Poison();
}

void GuardedBytes::Poison() { stream_.Fill(data(), 0xff, bytes_); }

std::vector<std::byte> GuardedBytes::Download() const {
  std::vector<std::byte> bytes(bytes_);
  stream_.Copy(bytes.data(), data(), bytes_);
  stream_.Synchronize();
  return bytes;
}

bool GuardedBytes::GuardsIntact() const {
  std::vector<uint8_t> all(buffer_->bytes());
  stream_.Copy(all.data(), buffer_->data(), all.size());
  stream_.Synchronize();
  const auto intact = [](uint8_t c) { return c == kGuard; };
  return std::all_of(all.begin(), all.begin() + kGuardBytes, intact) &&
         std::all_of(all.end() - kGuardBytes, all.end(), intact);
}

void GpuKernelTest::SetUp() {
  auto device = CudaDevice::Create({.budget_bytes = kBudget});
  if (absl::IsNotFound(device.status())) GTEST_SKIP() << device.status();
  ASSERT_TRUE(device.ok()) << device.status();
  device_ = *std::move(device);
  auto stream = device_->CreateStream("test");
  ASSERT_TRUE(stream.ok()) << stream.status();
  stream_ = *std::move(stream);
  auto kernels = CudaKernels::Create(*device_, {.activations = GetParam()});
  ASSERT_TRUE(kernels.ok()) << kernels.status();
  kernels_ = *std::move(kernels);
}

void GpuKernelTest::TearDown() {
  uploads_.clear();
  kernels_.reset();
  stream_.reset();
  device_.reset();
}

void* GpuKernelTest::UploadBytes(std::span<const std::byte> bytes) {
  auto buffer = device_->Allocate(bytes.size(), "test input");
  EXPECT_TRUE(buffer.ok()) << buffer.status();
  uploads_.push_back(*std::move(buffer));
  stream_->Copy(uploads_.back()->data(), bytes.data(), bytes.size());
  stream_->Synchronize();
  return uploads_.back()->data();
}

void* GpuKernelTest::UploadActivations(std::vector<float>& values) {
  if (!is_bf16()) return Upload(values);
  std::vector<BFloat16> narrow;
  narrow.reserve(values.size());
  for (float& value : values) {
    narrow.push_back(ToBFloat16(value));
    value = ToFloat(narrow.back());
  }
  return Upload(narrow);
}

std::vector<float> GpuKernelTest::Activations(const GuardedBytes& output) const {
  if (!is_bf16()) return Values<float>(output);
  std::vector<float> wide;
  for (const BFloat16 value : Values<BFloat16>(output)) wide.push_back(ToFloat(value));
  return wide;
}

void GpuKernelTest::RunAndReplay(const std::function<void(Stream&)>& run,
                                 const std::vector<GuardedBytes*>& outputs) {
  run(*stream_);
  std::vector<std::vector<std::byte>> first;
  for (GuardedBytes* output : outputs) {
    first.push_back(output->Download());
    output->Poison();
  }
  stream_->BeginCapture();
  run(*stream_);
  const std::unique_ptr<Graph> graph = stream_->EndCapture();
  stream_->Launch(*graph);
  stream_->Launch(*graph);
  for (size_t i = 0; i < outputs.size(); ++i) {
    EXPECT_TRUE(outputs[i]->GuardsIntact()) << "output " << i;
    EXPECT_TRUE(outputs[i]->Download() == first[i])
        << "output " << i << " differs under graph replay";
  }
}

std::vector<float> GpuKernelTest::RandomFloats(size_t count, float deviation) {
  std::normal_distribution<float> normal(0.0f, deviation);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random_);
  return values;
}

std::vector<BFloat16> GpuKernelTest::RandomBFloat16s(size_t count, float deviation) {
  std::vector<BFloat16> values;
  for (const float value : RandomFloats(count, deviation)) values.push_back(ToBFloat16(value));
  return values;
}

void ExpectClose(std::span<const float> actual, const std::vector<double>& expected,
                 Tolerance tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    if (std::isnan(expected[i]) && std::isnan(actual[i])) continue;
    const double bound = tolerance.absolute + tolerance.relative * std::abs(expected[i]);
    // Written so that NaN fails.
    ASSERT_TRUE(std::abs(static_cast<double>(actual[i]) - expected[i]) <= bound)
        << "element " << i << ": " << actual[i] << ", expected " << expected[i];
  }
}

}  // namespace spearfish::kernels
