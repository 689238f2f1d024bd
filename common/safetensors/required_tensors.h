// What an architecture needs from a checkpoint.
#ifndef COMMON_SAFETENSORS_REQUIRED_TENSORS_H_
#define COMMON_SAFETENSORS_REQUIRED_TENSORS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/base/ids.h"
#include "common/config/model_config.h"

namespace spearfish {

struct RequiredTensor {
  std::string name;  // canonical
  std::vector<int64_t> shape;
};

// "model.layers.3.mlp.experts.", where a layer's experts lie.
std::string ExpertsPrefix(LayerId layer);

// Calls `visit` for every tensor in the model's order and returns the first error that it gives.
// `has` tells whether the checkpoint holds a canonical name: a layer whose fused gate_up_proj is
// there needs the fused tensors, any other MoE layer the separate ones.
absl::Status VisitRequiredTensors(const ModelConfig& config,
                                  const std::function<bool(absl::string_view)>& has,
                                  const std::function<absl::Status(const RequiredTensor&)>& visit);

}  // namespace spearfish

#endif  // COMMON_SAFETENSORS_REQUIRED_TENSORS_H_
