// What every test of an operation on a CUDA device needs: uploads, guarded and poisoned outputs in
// device memory, a second run by graph replay. Skips where there is no device.
#ifndef TESTS_GPU_GPU_FIXTURE_H_
#define TESTS_GPU_GPU_FIXTURE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "common/base/bfloat16.h"
#include "gtest/gtest.h"
#include "kernels/api/kernels.h"
#include "kernels/cuda/cuda_device.h"
#include "kernels/cuda/cuda_kernels.h"

namespace spearfish::kernels {

// The bytes of an output between two guard zones in device memory.
class GuardedBytes {
 public:
  GuardedBytes(Device& device, Stream& stream, size_t bytes);

  void* data() const { return buffer_->as<std::byte>() + kGuardBytes; }
  template <typename T>
  T* as() const {
    return static_cast<T*>(data());
  }
  size_t bytes() const { return bytes_; }

  // Bytes are set so that floats of both widths are NaN and ids are out of any range. Enqueued.
  void Poison();
  // These wait for the stream.
  std::vector<std::byte> Download() const;
  bool GuardsIntact() const;

 private:
  static constexpr size_t kGuardBytes = 256;
  static constexpr uint8_t kGuard = 0x5a;

  Stream& stream_;
  const size_t bytes_;
  std::unique_ptr<Buffer> buffer_;
};

// Parameter: the activation dtype of the kernels.
class GpuKernelTest : public ::testing::TestWithParam<DType> {
 protected:
  void SetUp() override;
  void TearDown() override;

  bool is_bf16() const { return GetParam() == DType::kBF16; }
  size_t activation_bytes() const { return DTypeBytes(GetParam()); }

  // Lives in device memory until the test ends.
  void* UploadBytes(std::span<const std::byte> bytes);
  template <typename T>
  T* Upload(const std::vector<T>& values) {
    return static_cast<T*>(UploadBytes(std::as_bytes(std::span(values))));
  }
  // Activations: `values` become what the device can hold, so that the oracle reads the same.
  void* UploadActivations(std::vector<float>& values);

  GuardedBytes Output(size_t bytes) { return {*device_, *stream_, bytes}; }
  GuardedBytes ActivationOutput(size_t count) { return Output(count * activation_bytes()); }
  std::vector<float> Activations(const GuardedBytes& output) const;
  template <typename T>
  std::vector<T> Values(const GuardedBytes& output) const {
    const std::vector<std::byte> bytes = output.Download();
    const auto* begin = reinterpret_cast<const T*>(bytes.data());
    return {begin, begin + bytes.size() / sizeof(T)};
  }

  // Runs, and runs again as a graph launched twice; outputs are poisoned before each and must come
  // out bit for bit the same, with guards intact.
  void RunAndReplay(const std::function<void(Stream&)>& run,
                    const std::vector<GuardedBytes*>& outputs);

  std::vector<float> RandomFloats(size_t count, float deviation = 1.0f);
  std::vector<BFloat16> RandomBFloat16s(size_t count, float deviation = 1.0f);
  int32_t RandomInt(int32_t below) {
    return std::uniform_int_distribution<int32_t>(0, below - 1)(random_);
  }

  std::mt19937 random_{20240607};
  std::unique_ptr<Device> device_;
  std::unique_ptr<Kernels> kernels_;
  std::unique_ptr<Stream> stream_;

 private:
  std::vector<std::unique_ptr<Buffer>> uploads_;
};

inline std::string ActivationName(const ::testing::TestParamInfo<DType>& info) {
  return DTypeName(info.param);
}
#define SF_GPU_SUITE(suite)                                                           \
  INSTANTIATE_TEST_SUITE_P(Cuda, suite, ::testing::Values(DType::kF32, DType::kBF16), \
                           ActivationName)
// Operations without activations.
#define SF_GPU_SUITE_F32(suite) \
  INSTANTIATE_TEST_SUITE_P(Cuda, suite, ::testing::Values(DType::kF32), ActivationName)

// |actual - expected| <= absolute + relative * |expected|; NaN only where NaN is expected.
struct Tolerance {
  double absolute = 0;
  double relative = 0;
};
void ExpectClose(std::span<const float> actual, const std::vector<double>& expected,
                 Tolerance tolerance);

}  // namespace spearfish::kernels

#endif  // TESTS_GPU_GPU_FIXTURE_H_
