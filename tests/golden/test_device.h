// The device that a test runs a model on: the CPU device, or a GPU when the environment asks.
#ifndef TESTS_GOLDEN_TEST_DEVICE_H_
#define TESTS_GOLDEN_TEST_DEVICE_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernels/api/device.h"
#include "kernels/api/kernels.h"

namespace spearfish::tests {

// Members are destroyed in reverse.
struct TestDevice {
  std::unique_ptr<kernels::Device> device;
  std::unique_ptr<kernels::Kernels> kernels;
};

// `name` is cpu, cuda:N, or cuda:N:f32 for float32 activations; the threads are the CPU device's.
// FailedPrecondition for a GPU in a build without the backend.
absl::StatusOr<TestDevice> CreateTestDevice(absl::string_view name, uint64_t budget_bytes,
                                            uint32_t num_threads);
// By the name in SPEARFISH_TEST_DEVICE; cpu without one.
absl::StatusOr<TestDevice> CreateTestDevice(uint64_t budget_bytes, uint32_t num_threads);

// Whether activations are rounded to bfloat16, so that looser tolerances hold.
bool TestDeviceRounds();

}  // namespace spearfish::tests

#endif  // TESTS_GOLDEN_TEST_DEVICE_H_
