#include "tests/golden/test_device.h"

#include <cstdlib>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"
#include "kernels/cpu/cpu_device.h"
#include "kernels/cpu/cpu_kernels.h"
#ifdef SPEARFISH_HAS_CUDA
#include "kernels/cuda/cuda_device.h"
#include "kernels/cuda/cuda_kernels.h"
#endif

namespace spearfish::tests {
namespace {

std::string DeviceName() {
  const char* name = std::getenv("SPEARFISH_TEST_DEVICE");
  return name == nullptr ? "cpu" : name;
}

absl::StatusOr<TestDevice> CreateGpu(absl::string_view full_name, uint64_t budget_bytes) {
#ifdef SPEARFISH_HAS_CUDA
  absl::string_view name = full_name;
  const bool f32 = absl::ConsumeSuffix(&name, ":f32");
  kernels::CudaDeviceOptions options;
  options.budget_bytes = budget_bytes;
  if (!absl::ConsumePrefix(&name, "cuda:") || !absl::SimpleAtoi(name, &options.ordinal)) {
    return absl::InvalidArgumentError(absl::StrCat("unknown test device: ", full_name));
  }
  TestDevice out;
  SF_ASSIGN_OR_RETURN(out.device, kernels::CudaDevice::Create(options));
  SF_ASSIGN_OR_RETURN(
      out.kernels,
      kernels::CudaKernels::Create(*out.device, {.activations = f32 ? DType::kF32 : DType::kBF16,
                                                 .strict_batch_invariance = true}));
  return out;
#else
  return absl::FailedPreconditionError(absl::StrCat("no CUDA backend in this build: ", full_name,
                                                    " of ", budget_bytes,
                                                    " bytes; set SPEARFISH_CUDA to ON"));
#endif
}

}  // namespace

absl::StatusOr<TestDevice> CreateTestDevice(absl::string_view name, uint64_t budget_bytes,
                                            uint32_t num_threads) {
  if (name != "cpu") return CreateGpu(name, budget_bytes);
  TestDevice out;
  SF_ASSIGN_OR_RETURN(out.device, kernels::CpuDevice::Create(
                                      {.budget_bytes = budget_bytes, .num_threads = num_threads}));
  SF_ASSIGN_OR_RETURN(out.kernels, kernels::CpuKernels::Create(*out.device, {num_threads}));
  return out;
}

absl::StatusOr<TestDevice> CreateTestDevice(uint64_t budget_bytes, uint32_t num_threads) {
  return CreateTestDevice(DeviceName(), budget_bytes, num_threads);
}

bool TestDeviceRounds() {
  const std::string name = DeviceName();
  return name != "cpu" && !absl::EndsWith(name, ":f32");
}

}  // namespace spearfish::tests
