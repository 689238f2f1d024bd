#include "worker/model/qwen3_moe_model.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

namespace spearfish::worker {

Qwen3MoeModel::Qwen3MoeModel(const Checkpoint& checkpoint, const StepLimits& limits,
                             kernels::Kernels& kernels, Parts parts)
    : config_(checkpoint.config()),
      generation_config_(checkpoint.generation_config()),
      limits_(limits),
      kernels_(kernels),
      parts_(std::move(parts)) {}

void Qwen3MoeModel::Forward(const StepInput& input, StepOutput& output) {
  const StepBuffers& buffers = parts_.buffers;
  kernels::Stream& stream = *parts_.stream;
  const StepBatch batch = PackStep(input, limits_, *buffers.inputs);
  const StepResults results = PlaceResults(input, batch, config_, *buffers.results);
  if (batch.num_rows > 0) {
    buffers.inputs->Upload(stream);
    kernels_.Embed({.ids = batch.token_ids,
                    .table = parts_.weights.embedding,
                    .out = buffers.residual,
                    .num_rows = batch.num_rows},
                   stream);
    for (uint32_t layer = 0; layer < config_.num_layers; ++layer) {
      Layer(LayerId{layer}, batch, results);
    }
    AddAndNorm(parts_.weights.final_norm, batch);
    Head(batch, results);
    buffers.results->Download(stream);
    stream.Synchronize();
  }
  DeliverResults(input, batch, config_, results, output);
}

// x += Attention(RMSNorm(x)); x += Mlp(RMSNorm(x)). The second sum is left to the next norm, and so
// the first layer has nothing to add.
void Qwen3MoeModel::Layer(LayerId layer, const StepBatch& batch, const StepResults& results) {
  const LayerWeights& weights = parts_.weights.layers[Index(layer)];
  if (Index(layer) == 0) {
    kernels_.RmsNorm({.x = parts_.buffers.residual,
                      .residual = nullptr,
                      .weight = weights.input_norm,
                      .out = parts_.buffers.normed,
                      .num_rows = batch.num_rows,
                      .dim = config_.hidden_size,
                      .eps = config_.rms_norm_eps},
                     *parts_.stream);
  } else {
    AddAndNorm(weights.input_norm, batch);
  }
  Attention(layer, batch);
  AddAndNorm(weights.post_attention_norm, batch);
  if (config_.is_moe(layer)) {
    Moe(layer, batch, results);
  } else {
    DenseMlp(layer, batch);
  }
}

void Qwen3MoeModel::Attention(LayerId layer, const StepBatch& batch) {
  const AttentionWeights& weights = parts_.weights.layers[Index(layer)].attention;
  const StepBuffers& buffers = parts_.buffers;
  const kernels::KvLayer kv = parts_.kv->layer(layer);
  Linear(buffers.normed, weights.qkv, weights.qkv_bias, buffers.qkv, batch.num_rows);
  kernels_.QkNormRopeAppend({.qkv = buffers.qkv,
                             .q_norm = weights.q_norm,
                             .k_norm = weights.k_norm,
                             .eps = config_.rms_norm_eps,
                             .positions = batch.positions,
                             .inv_freq = parts_.inv_freq->as<float>(),
                             .slots = batch.slots,
                             .q_out = buffers.q,
                             .kv = kv,
                             .num_rows = batch.num_rows,
                             .num_heads = config_.num_heads},
                            *parts_.stream);
  kernels_.Attention({.q = buffers.q,
                      .kv = kv,
                      .query_starts = batch.query_starts,
                      .context_lens = batch.context_lens,
                      .block_tables = batch.block_tables,
                      .out = buffers.attention,
                      .scale = 1.0f / std::sqrt(static_cast<float>(config_.head_dim)),
                      .num_rows = batch.num_rows,
                      .num_seqs = batch.num_seqs,
                      .max_blocks = batch.max_blocks,
                      .num_heads = config_.num_heads},
                     *parts_.stream);
  Linear(buffers.attention, weights.o, weights.o_bias, buffers.delta, batch.num_rows);
}

void Qwen3MoeModel::Moe(LayerId layer, const StepBatch& batch, const StepResults& results) {
  const StepBuffers& buffers = parts_.buffers;
  const ExpertStore& experts = *parts_.experts;
  int32_t* const expert_ids =
      results.expert_ids.device + size_t{experts.MoeIndex(layer)} * results.expert_ids_stride;
  kernels_.RouterTopk({.x = buffers.normed,
                       .gate = parts_.weights.layers[Index(layer)].router,
                       .k = config_.num_experts_per_token,
                       .normalize = config_.norm_topk_prob,
                       .expert_ids = expert_ids,
                       .expert_weights = buffers.expert_weights,
                       .activation_counts = experts.counters(layer),
                       .num_rows = batch.num_rows},
                      *parts_.stream);
  kernels_.Moe({.x = buffers.normed,
                .expert_ids = expert_ids,
                .expert_weights = buffers.expert_weights,
                .address_table = experts.addresses(layer),
                .layout = experts.layout(),
                .num_experts = config_.num_experts,
                .k = config_.num_experts_per_token,
                .out = buffers.delta,
                .workspace = buffers.moe_workspace,
                .num_rows = batch.num_rows},
               *parts_.stream);
}

void Qwen3MoeModel::DenseMlp(LayerId layer, const StepBatch& batch) {
  const DenseMlpWeights& weights = parts_.weights.layers[Index(layer)].mlp;
  const StepBuffers& buffers = parts_.buffers;
  Linear(buffers.normed, weights.gate_up, nullptr, buffers.gate_up, batch.num_rows);
  kernels_.SiluMul({.gate_up = buffers.gate_up,
                    .out = buffers.activation,
                    .num_rows = batch.num_rows,
                    .dim = config_.intermediate_size},
                   *parts_.stream);
  Linear(buffers.activation, weights.down, nullptr, buffers.delta, batch.num_rows);
}

void Qwen3MoeModel::AddAndNorm(const float* weight, const StepBatch& batch) {
  kernels_.RmsNorm({.x = parts_.buffers.delta,
                    .residual = parts_.buffers.residual,
                    .weight = weight,
                    .out = parts_.buffers.normed,
                    .num_rows = batch.num_rows,
                    .dim = config_.hidden_size,
                    .eps = config_.rms_norm_eps},
                   *parts_.stream);
}

void Qwen3MoeModel::Head(const StepBatch& batch, const StepResults& results) {
  if (batch.num_logit_rows == 0) return;
  // A row that is not sampled keeps its target; the sampler overwrites the others.
  parts_.stream->Copy(results.tokens.device, batch.targets, batch.num_logit_rows * sizeof(int32_t));
  const uint32_t chunk = limits_.options.logit_chunk_rows;
  for (uint32_t begin = 0; begin < batch.num_logit_rows; begin += chunk) {
    HeadChunk(begin, std::min(chunk, batch.num_logit_rows - begin), batch, results);
  }
}

void Qwen3MoeModel::HeadChunk(uint32_t begin, uint32_t num_rows, const StepBatch& batch,
                              const StepResults& results) {
  const StepBuffers& buffers = parts_.buffers;
  kernels_.GatherRows({.x = buffers.normed,
                       .rows = batch.logit_rows + begin,
                       .out = buffers.logit_inputs,
                       .num_rows = num_rows,
                       .dim = config_.hidden_size},
                      *parts_.stream);
  kernels_.Linear({.x = buffers.logit_inputs,
                   .weight = parts_.weights.lm_head,
                   .bias = nullptr,
                   .out = buffers.logits,
                   .out_dtype = DType::kF32,
                   .num_rows = num_rows},
                  *parts_.stream);
  if (begin < batch.num_sampled) {
    kernels_.Sample({.logits = buffers.logits,
                     .rows = batch.sampling + begin,
                     .history = batch.history,
                     .biases = batch.biases,
                     .out_tokens = results.tokens.device + begin,
                     .workspace = buffers.sample_workspace,
                     .num_rows = std::min(num_rows, batch.num_sampled - begin),
                     .vocab = config_.vocab_size},
                    *parts_.stream);
  }
  if (!results.has_logprobs) return;
  const size_t top_offset = size_t{begin} * results.top_n;
  const bool with_top = results.top_n > 0;
  kernels_.LogProbs({.logits = buffers.logits,
                     .tokens = results.tokens.device + begin,
                     .token_logprobs = results.logprobs.device + begin,
                     .ranks = results.ranks.device + begin,
                     .top_ids = with_top ? results.top_ids.device + top_offset : nullptr,
                     .top_logprobs = with_top ? results.top_logprobs.device + top_offset : nullptr,
                     .num_rows = num_rows,
                     .vocab = config_.vocab_size,
                     .top_n = results.top_n},
                    *parts_.stream);
}

void Qwen3MoeModel::Linear(const void* x, const kernels::Matrix& weight, const float* bias,
                           void* out, uint32_t num_rows) {
  kernels_.Linear({.x = x,
                   .weight = weight,
                   .bias = bias,
                   .out = out,
                   .out_dtype = kernels_.activation_dtype(),
                   .num_rows = num_rows},
                  *parts_.stream);
}

}  // namespace spearfish::worker
