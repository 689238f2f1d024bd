#include "worker/model/weights.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/model/weight_loader.h"

namespace spearfish::worker {
namespace {

constexpr char kEmbedding[] = "model.embed_tokens.weight";
constexpr char kHead[] = "lm_head.weight";

absl::StatusOr<AttentionWeights> LoadAttention(const ModelConfig& config, const std::string& prefix,
                                               WeightLoader& loader) {
  AttentionWeights weights;
  SF_ASSIGN_OR_RETURN(weights.qkv,
                      loader.LoadProjection({prefix + "q_proj.weight",  //
                                             prefix + "k_proj.weight", prefix + "v_proj.weight"}));
  SF_ASSIGN_OR_RETURN(weights.o, loader.LoadProjection({prefix + "o_proj.weight"}));
  SF_ASSIGN_OR_RETURN(weights.q_norm, loader.LoadVector({prefix + "q_norm.weight"}));
  SF_ASSIGN_OR_RETURN(weights.k_norm, loader.LoadVector({prefix + "k_norm.weight"}));
  if (!config.attention_bias) return weights;
  SF_ASSIGN_OR_RETURN(weights.qkv_bias,
                      loader.LoadVector({prefix + "q_proj.bias",  //
                                         prefix + "k_proj.bias", prefix + "v_proj.bias"}));
  SF_ASSIGN_OR_RETURN(weights.o_bias, loader.LoadVector({prefix + "o_proj.bias"}));
  return weights;
}

absl::StatusOr<LayerWeights> LoadLayer(const ModelConfig& config, LayerId layer,
                                       WeightLoader& loader) {
  const std::string prefix = absl::StrCat("model.layers.", Index(layer), ".");
  LayerWeights weights;
  SF_ASSIGN_OR_RETURN(weights.input_norm, loader.LoadVector({prefix + "input_layernorm.weight"}));
  SF_ASSIGN_OR_RETURN(weights.attention, LoadAttention(config, prefix + "self_attn.", loader));
  SF_ASSIGN_OR_RETURN(weights.post_attention_norm,
                      loader.LoadVector({prefix + "post_attention_layernorm.weight"}));
  if (config.is_moe(layer)) {
    SF_ASSIGN_OR_RETURN(weights.router, loader.LoadMatrix({prefix + "mlp.gate.weight"}));
    return weights;
  }
  SF_ASSIGN_OR_RETURN(weights.mlp.gate_up, loader.LoadProjection({prefix + "mlp.gate_proj.weight",
                                                                  prefix + "mlp.up_proj.weight"}));
  SF_ASSIGN_OR_RETURN(weights.mlp.down, loader.LoadProjection({prefix + "mlp.down_proj.weight"}));
  return weights;
}

absl::StatusOr<kernels::Matrix> LoadEmbedding(WeightLoader& loader) {
  return loader.LoadMatrix({kEmbedding});
}

// A quantised head has weights of its own.
bool HeadIsEmbedding(const ModelConfig& config, const DenseOptions& options) {
  return config.tie_word_embeddings && options.bits == 16;
}

// All but an embedding that is not also the head.
absl::StatusOr<ModelWeights> LoadAll(const ModelConfig& config, const DenseOptions& options,
                                     WeightLoader& loader) {
  ModelWeights weights;
  for (uint32_t layer = 0; layer < config.num_layers; ++layer) {
    SF_ASSIGN_OR_RETURN(weights.layers.emplace_back(), LoadLayer(config, LayerId{layer}, loader));
  }
  SF_ASSIGN_OR_RETURN(weights.final_norm, loader.LoadVector({"model.norm.weight"}));
  if (HeadIsEmbedding(config, options)) {
    SF_ASSIGN_OR_RETURN(weights.lm_head, LoadEmbedding(loader));
    weights.embedding = weights.lm_head;
  } else {
    SF_ASSIGN_OR_RETURN(weights.lm_head,
                        loader.LoadProjection({config.tie_word_embeddings ? kEmbedding : kHead}));
  }
  return weights;
}

}  // namespace

absl::StatusOr<ModelWeights> ModelWeights::Load(const Checkpoint& checkpoint,
                                                kernels::Device& device, kernels::Stream& stream,
                                                const DenseOptions& options) {
  const ModelConfig& config = checkpoint.config();
  WeightLoader measure(checkpoint, options);
  SF_RETURN_IF_ERROR(LoadAll(config, options, measure).status());
  SF_ASSIGN_OR_RETURN(auto memory, device.Allocate(measure.bytes(), "the dense weights"));
  SF_ASSIGN_OR_RETURN(auto loader,
                      WeightLoader::Create(checkpoint, device, stream, *memory, options));
  SF_ASSIGN_OR_RETURN(ModelWeights weights, LoadAll(config, options, *loader));
  weights.memory = std::move(memory);
  if (HeadIsEmbedding(config, options)) return weights;
  WeightLoader measure_embedding(checkpoint, options);
  SF_RETURN_IF_ERROR(LoadEmbedding(measure_embedding).status());
  SF_ASSIGN_OR_RETURN(weights.host_memory, device.AllocateHost(measure_embedding.bytes()));
  SF_ASSIGN_OR_RETURN(
      loader, WeightLoader::Create(checkpoint, device, stream, *weights.host_memory, options));
  SF_ASSIGN_OR_RETURN(weights.embedding, LoadEmbedding(*loader));
  return weights;
}

}  // namespace spearfish::worker
