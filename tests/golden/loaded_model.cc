#include "tests/golden/loaded_model.h"

#include <utility>

#include "common/base/status_macros.h"
#include "common/expert_cache/cache_plan.h"
#include "tests/golden/test_device.h"

namespace spearfish::tests {

absl::StatusOr<std::unique_ptr<LoadedModel>> LoadedModel::Create(
    const std::string& folder, const LoadedModelOptions& options) {
  auto loaded = std::make_unique<LoadedModel>();
  SF_ASSIGN_OR_RETURN(loaded->checkpoint, Checkpoint::Open(folder));
  SF_ASSIGN_OR_RETURN(const CachePlan plan,
                      CachePlan::FromCheckpoint(*loaded->checkpoint, options.quant));
  const std::string path = loaded->dir.File("experts.cache");
  SF_RETURN_IF_ERROR(WriteCacheFile(*loaded->checkpoint, plan, path, options.num_threads, nullptr));
  SF_ASSIGN_OR_RETURN(loaded->cache, CacheFile::Open(path));
  SF_ASSIGN_OR_RETURN(TestDevice device,
                      CreateTestDevice(options.device_bytes, options.num_threads));
  loaded->device = std::move(device.device);
  loaded->kernels = std::move(device.kernels);
  SF_ASSIGN_OR_RETURN(loaded->model, worker::Qwen3MoeModel::Create(
                                         *loaded->checkpoint, loaded->cache->cache(),
                                         *loaded->device, *loaded->kernels, options.model));
  return loaded;
}

}  // namespace spearfish::tests
