// What every test of an operation on the CPU device needs: all Highway targets, thread counts,
// guarded and poisoned outputs, and a second run by graph replay.
#ifndef TESTS_UNIT_KERNELS_KERNEL_FIXTURE_H_
#define TESTS_UNIT_KERNELS_KERNEL_FIXTURE_H_

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "common/base/bfloat16.h"
#include "gtest/gtest.h"
#include "kernels/api/kernels.h"

namespace spearfish::kernels {

// An array in device memory between two guard zones.
template <typename T>
class GuardedArray {
 public:
  GuardedArray(Device& device, size_t count) : count_(count) {
    auto buffer = device.Allocate(2 * kGuardBytes + count * sizeof(T), "test output");
    EXPECT_TRUE(buffer.ok()) << buffer.status();
    buffer_ = *std::move(buffer);
    std::memset(buffer_->data(), kGuard, buffer_->bytes());
    Poison();
  }

  T* data() const { return reinterpret_cast<T*>(buffer_->as<char>() + kGuardBytes); }
  std::span<T> values() const { return {data(), count_}; }
  std::vector<T> Copy() const { return {data(), data() + count_}; }
  // Bytes of the array are set so that floats are NaN and ids are out of any range.
  void Poison() { std::memset(data(), 0xff, count_ * sizeof(T)); }
  bool GuardsIntact() const {
    const char* begin = buffer_->as<char>();
    const char* after = begin + kGuardBytes + count_ * sizeof(T);
    const auto intact = [](char c) { return c == kGuard; };
    return std::all_of(begin, begin + kGuardBytes, intact) &&
           std::all_of(after, after + kGuardBytes, intact);
  }

 private:
  static constexpr size_t kGuardBytes = 128;
  static constexpr char kGuard = 0x5a;

  const size_t count_;
  std::unique_ptr<Buffer> buffer_;
};

struct KernelParam {
  int64_t target;  // a Highway target bit
  uint32_t num_threads;
};
std::string ParamName(const ::testing::TestParamInfo<KernelParam>& info);

// Every target with one thread, the best one with two and three too.
std::vector<KernelParam> AllKernelParams();

// Pins Highway to the parameter's target while a test runs.
class KernelTest : public ::testing::TestWithParam<KernelParam> {
 protected:
  void SetUp() override;
  void TearDown() override;

  // Kernels with another number of threads on the same device.
  std::unique_ptr<Kernels> MakeKernels(uint32_t num_threads);

  // Enqueues by `run`, waits, and does so again as a captured graph launched twice; `outputs` are
  // poisoned before each and must come out bit for bit the same, with guards intact.
  template <typename T>
  void RunAndReplay(const std::function<void(Stream&)>& run,
                    const std::vector<GuardedArray<T>*>& outputs) {
    run(*stream_);
    stream_->Synchronize();
    std::vector<std::vector<T>> first;
    for (GuardedArray<T>* output : outputs) {
      first.push_back(output->Copy());
      output->Poison();
    }
    stream_->BeginCapture();
    run(*stream_);
    const std::unique_ptr<Graph> graph = stream_->EndCapture();
    stream_->Launch(*graph);
    stream_->Launch(*graph);
    stream_->Synchronize();
    for (size_t i = 0; i < outputs.size(); ++i) {
      EXPECT_TRUE(outputs[i]->GuardsIntact()) << "output " << i;
      const std::span<const T> again(outputs[i]->data(), first[i].size());
      EXPECT_TRUE(std::ranges::equal(std::as_bytes(again), std::as_bytes(std::span(first[i]))))
          << "output " << i << " differs under graph replay";
    }
  }

  std::vector<float> RandomFloats(size_t count, float deviation = 1.0f);
  std::vector<BFloat16> RandomBFloat16s(size_t count, float deviation = 1.0f);
  int32_t RandomInt(int32_t below) {
    return std::uniform_int_distribution<int32_t>(0, below - 1)(random_);
  }

  std::mt19937 random_{20240607};
  std::unique_ptr<Device> device_;
  std::unique_ptr<Kernels> kernels_;
  std::unique_ptr<Stream> stream_;
};

// Also where NaN marks what was not written, or -0 must not pass for 0.
inline bool SameBits(std::span<const float> a, std::span<const float> b) {
  return std::ranges::equal(std::as_bytes(a), std::as_bytes(b));
}

// |actual - expected| <= tolerance * max(1, |expected|), element by element.
void ExpectClose(std::span<const float> actual, const std::vector<double>& expected,
                 double tolerance);

}  // namespace spearfish::kernels

#endif  // TESTS_UNIT_KERNELS_KERNEL_FIXTURE_H_
