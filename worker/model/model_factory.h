// The model class of a checkpoint's architecture.
#ifndef WORKER_MODEL_MODEL_FACTORY_H_
#define WORKER_MODEL_MODEL_FACTORY_H_

#include <memory>

#include "absl/status/statusor.h"
#include "common/expert_cache/cache_view.h"
#include "common/safetensors/checkpoint.h"
#include "kernels/api/device.h"
#include "kernels/api/kernels.h"
#include "worker/model/model.h"
#include "worker/model/model_options.h"

namespace spearfish::worker {

// Errors as Qwen3MoeModel::Create. The cache image, device and kernels must outlive the model; the
// checkpoint need not.
absl::StatusOr<std::unique_ptr<Model>> CreateModel(const Checkpoint& checkpoint,
                                                   const CacheView& cache, kernels::Device& device,
                                                   kernels::Kernels& kernels,
                                                   const ModelOptions& options);

}  // namespace spearfish::worker

#endif  // WORKER_MODEL_MODEL_FACTORY_H_
