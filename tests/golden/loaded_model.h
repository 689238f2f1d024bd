// A checkpoint's model on the test device, ready to run: what worker/main.cc assembles, for tests.
#ifndef TESTS_GOLDEN_LOADED_MODEL_H_
#define TESTS_GOLDEN_LOADED_MODEL_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/bytes.h"
#include "common/expert_cache/cache_file.h"
#include "common/safetensors/checkpoint.h"
#include "kernels/api/device.h"
#include "kernels/api/kernels.h"
#include "tests/support/temp_dir.h"
#include "worker/model/qwen3_moe_model.h"

namespace spearfish::tests {

struct LoadedModelOptions {
  QuantOptions quant = {.bits = 4, .scale = ScaleMode::kAbsmax};
  worker::ModelOptions model = {};
  uint64_t device_bytes = kGiB;
  uint32_t num_threads = 2;
};

// Owns everything from the packed cache to the model; members are destroyed in reverse.
struct LoadedModel {
  static absl::StatusOr<std::unique_ptr<LoadedModel>> Create(const std::string& folder,
                                                             const LoadedModelOptions& options);

  TempDir dir;  // of the cache file
  std::unique_ptr<Checkpoint> checkpoint;
  std::unique_ptr<CacheFile> cache;
  std::unique_ptr<kernels::Device> device;
  std::unique_ptr<kernels::Kernels> kernels;
  std::unique_ptr<worker::Qwen3MoeModel> model;
};

}  // namespace spearfish::tests

#endif  // TESTS_GOLDEN_LOADED_MODEL_H_
