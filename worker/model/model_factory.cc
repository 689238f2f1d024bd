#include "worker/model/model_factory.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/model/qwen3_moe_model.h"

namespace spearfish::worker {

absl::StatusOr<std::unique_ptr<Model>> CreateModel(const Checkpoint& checkpoint,
                                                   const CacheView& cache, kernels::Device& device,
                                                   kernels::Kernels& kernels,
                                                   const ModelOptions& options) {
  switch (checkpoint.config().architecture) {
    case Architecture::kQwen3Moe: {
      SF_ASSIGN_OR_RETURN(std::unique_ptr<Model> model,
                          Qwen3MoeModel::Create(checkpoint, cache, device, kernels, options));
      return model;
    }
  }
  return absl::UnimplementedError(
      absl::StrCat("architecture not served: ", checkpoint.config().architecture_name,
                   "; use a Qwen3MoeForCausalLM checkpoint"));
}

}  // namespace spearfish::worker
