// A Hugging Face checkpoint folder: config.json, generation_config.json, one or many shards.
#ifndef COMMON_SAFETENSORS_CHECKPOINT_H_
#define COMMON_SAFETENSORS_CHECKPOINT_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/ids.h"
#include "common/config/generation_config.h"
#include "common/config/model_config.h"
#include "common/safetensors/safetensors_file.h"
#include "common/tensor/host_tensor.h"

namespace spearfish {

// The three projections of one routed expert, however the checkpoint stores them.
struct ExpertWeights {
  HostTensor gate;  // [moe_intermediate, hidden]
  HostTensor up;    // [moe_intermediate, hidden]
  HostTensor down;  // [hidden, moe_intermediate]
};

// Owns the mapped shards; every HostTensor it returns points into them. Immutable after Open, so
// any thread may read it.
class Checkpoint {
 public:
  // Reads the configs and maps the shards (model.safetensors, or the files named by
  // model.safetensors.index.json). Checks that every tensor the architecture needs is there with
  // the right shape and a float dtype, and names the first that is not (NotFound or
  // InvalidArgument). An index entry that names a shard outside the folder is refused.
  static absl::StatusOr<std::unique_ptr<Checkpoint>> Open(const std::string& folder);

  const std::string& folder() const { return folder_; }
  const ModelConfig& config() const { return config_; }
  const GenerationConfig& generation_config() const { return generation_config_; }
  // config.json byte for byte, and the shards in file-name order: the identity hashes them.
  const std::string& config_text() const { return config_text_; }
  const std::vector<std::unique_ptr<SafetensorsFile>>& shards() const { return shards_; }

  // Looks a tensor up by its canonical name ("model.layers.0.input_layernorm.weight",
  // "lm_head.weight"), whatever prefix the checkpoint uses ("language_model.model.",
  // "model.language_model."). NotFound names it.
  absl::StatusOr<HostTensor> Find(absl::string_view canonical_name) const;
  bool Has(absl::string_view canonical_name) const;

  // The weights of one routed expert: separate tensors (mlp.experts.E.gate_proj.weight ...) or
  // slices of the fused ones (mlp.experts.gate_up_proj [E, 2I, H] with gate rows first,
  // mlp.experts.down_proj [E, H, I]).
  // InvalidArgument for an expert or a layer that is not there, or a dense layer.
  absl::StatusOr<ExpertWeights> Expert(LayerId layer, ExpertId expert) const;

 private:
  Checkpoint() = default;
  absl::Status ReadConfigs();
  absl::Status MapShards();
  absl::Status AddTensor(absl::string_view name, const HostTensor& tensor);
  absl::Status CheckTensors() const;

  std::string folder_;
  std::string config_text_;
  ModelConfig config_;
  GenerationConfig generation_config_;
  std::vector<std::unique_ptr<SafetensorsFile>> shards_;
  TensorIndex tensors_;  // by canonical name
};

}  // namespace spearfish

#endif  // COMMON_SAFETENSORS_CHECKPOINT_H_
