#include "worker/model/qwen3_moe_model.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

#include "common/base/check.h"

namespace spearfish::worker {

Qwen3MoeModel::Qwen3MoeModel(const Checkpoint& checkpoint, const StepLimits& limits,
                             kernels::Kernels& kernels, Parts parts)
    : config_(checkpoint.config()),
      generation_config_(checkpoint.generation_config()),
      limits_(limits),
      kernels_(kernels),
      parts_(std::move(parts)) {
  SetStepTokens(max_step_tokens());
}

void Qwen3MoeModel::SetStepTokens(uint32_t num_rows) {
  const FrameArena& arena = *parts_.arena;
  step_tokens_ = num_rows;
  buffers_ =
      parts_.workspace->CutBelow(arena.base() + arena.num_frames() * arena.frame_bytes(), num_rows);
}

uint32_t Qwen3MoeModel::BorrowStepTokens(uint32_t num_rows) {
  const uint32_t wanted = std::min(num_rows, max_borrowed_step_tokens());
  if (wanted <= step_tokens_) return step_tokens_;
  const uint64_t frame_bytes = parts_.plan.frame_bytes;
  const uint64_t owned = parts_.plan.num_workspace * frame_bytes;
  const uint64_t bytes = owned + parts_.soft_frames->num_borrowable() * frame_bytes;
  const uint32_t rows = parts_.workspace->RowsThatFit(bytes, wanted);
  if (rows <= step_tokens_) return step_tokens_;
  const uint64_t needed = parts_.workspace->Bytes(rows);
  parts_.soft_frames->BorrowTail(
      static_cast<uint32_t>((needed - std::min(needed, owned) + frame_bytes - 1) / frame_bytes));
  SetStepTokens(rows);
  return rows;
}

void Qwen3MoeModel::ReturnStepTokens() {
  if (step_tokens_ == max_step_tokens()) return;
  parts_.soft_frames->ReturnTail();
  SetStepTokens(max_step_tokens());
}

void Qwen3MoeModel::Forward(const StepInput& input, StepOutput& output) {
  kernels::Stream& stream = *parts_.stream;
  ExpertPool& pool = *parts_.pool;
  const StepBatch batch = PackStep(input, limits_, *parts_.inputs);
  SF_CHECK(batch.num_rows <= step_tokens_);
  const StepResults results = PlaceResults(input, batch, config_, *parts_.results);
  if (batch.num_rows > 0) {
    pool.BeginStep(stream);
    graphs_.Run(ShapeOf(batch, results), stream, [&] { EnqueueStep(batch, results); });
    pool.EndStep(stream);
    pool.PlanNext();  // while the device works
    stream.Synchronize();
    pool.FinishStep(batch.num_rows);
  }
  DeliverResults(input, batch, config_, results, output);
  CountHits(pool, config_, output);
}

StepShape Qwen3MoeModel::ShapeOf(const StepBatch& batch, const StepResults& results) const {
  return {.num_rows = batch.num_rows,
          .num_seqs = batch.num_seqs,
          .max_blocks = batch.max_blocks,
          .num_logit_rows = batch.num_logit_rows,
          .num_sampled = batch.num_sampled,
          .history_capacity = batch.history_capacity,
          .num_biases = batch.num_biases,
          .top_n = results.top_n,
          .workspace_rows = step_tokens_,
          .has_logprobs = results.has_logprobs};
}

void Qwen3MoeModel::EnqueueStep(const StepBatch& batch, const StepResults& results) {
  kernels::Stream& stream = *parts_.stream;
  parts_.inputs->Upload(stream);
  // A row that is not sampled keeps its target; the sampler overwrites the others. Here, because
  // operations that follow each other without a copy between them may overlap.
  if (batch.num_logit_rows != 0) {
    stream.Copy(results.tokens.device, batch.targets, batch.num_logit_rows * sizeof(int32_t));
  }
  kernels_.Embed({.ids = batch.token_ids,
                  .table = parts_.weights.embedding,
                  .out = buffers_.residual,
                  .num_rows = batch.num_rows},
                 stream);
  for (uint32_t layer = 0; layer < config_.num_layers; ++layer) {
    Layer(LayerId{layer}, batch, results);
  }
  AddAndNorm(parts_.weights.final_norm, batch);
  Head(batch, results);
  parts_.results->Download(stream);
}

// x += Attention(RMSNorm(x)); x += Mlp(RMSNorm(x)). The second sum is left to the next norm, and so
// the first layer has nothing to add.
void Qwen3MoeModel::Layer(LayerId layer, const StepBatch& batch, const StepResults& results) {
  const LayerWeights& weights = parts_.weights.layers[Index(layer)];
  if (Index(layer) == 0) {
    kernels_.RmsNorm({.x = buffers_.residual,
                      .residual = nullptr,
                      .weight = weights.input_norm,
                      .out = buffers_.normed,
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
  const kernels::KvLayer kv = parts_.kv->layer(layer);
  Linear(buffers_.normed, weights.qkv, weights.qkv_bias, buffers_.qkv, batch.num_rows);
  kernels_.QkNormRopeAppend({.qkv = buffers_.qkv,
                             .q_norm = weights.q_norm,
                             .k_norm = weights.k_norm,
                             .eps = config_.rms_norm_eps,
                             .positions = batch.positions,
                             .inv_freq = parts_.inv_freq->as<float>(),
                             .slots = batch.slots,
                             .q_out = buffers_.q,
                             .kv = kv,
                             .num_rows = batch.num_rows,
                             .num_heads = config_.num_heads},
                            *parts_.stream);
  kernels_.Attention({.q = buffers_.q,
                      .kv = kv,
                      .query_starts = batch.query_starts,
                      .context_lens = batch.context_lens,
                      .block_tables = batch.block_tables,
                      .out = buffers_.attention,
                      .scale = 1.0f / std::sqrt(static_cast<float>(config_.head_dim)),
                      .num_rows = batch.num_rows,
                      .num_seqs = batch.num_seqs,
                      .max_blocks = batch.max_blocks,
                      .num_heads = config_.num_heads,
                      .workspace = buffers_.attention_workspace},
                     *parts_.stream);
  Linear(buffers_.attention, weights.o, weights.o_bias, buffers_.delta, batch.num_rows);
}

void Qwen3MoeModel::Moe(LayerId layer, const StepBatch& batch, const StepResults& results) {
  const ExpertStore& experts = *parts_.experts;
  int32_t* const expert_ids =
      results.expert_ids.device + size_t{experts.MoeIndex(layer)} * results.expert_ids_stride;
  kernels_.RouterTopk({.x = buffers_.normed,
                       .gate = parts_.weights.layers[Index(layer)].router,
                       .k = config_.num_experts_per_token,
                       .normalize = config_.norm_topk_prob,
                       .expert_ids = expert_ids,
                       .expert_weights = buffers_.expert_weights,
                       .activation_counts = experts.counters(layer),
                       .num_rows = batch.num_rows},
                      *parts_.stream);
  kernels_.Moe({.x = buffers_.normed,
                .expert_ids = expert_ids,
                .expert_weights = buffers_.expert_weights,
                .address_table = experts.addresses(layer),
                .layout = experts.layout(),
                .num_experts = config_.num_experts,
                .k = config_.num_experts_per_token,
                .out = buffers_.delta,
                .workspace = buffers_.moe_workspace,
                .num_rows = batch.num_rows},
               *parts_.stream);
}

void Qwen3MoeModel::DenseMlp(LayerId layer, const StepBatch& batch) {
  const DenseMlpWeights& weights = parts_.weights.layers[Index(layer)].mlp;
  Linear(buffers_.normed, weights.gate_up, nullptr, buffers_.gate_up, batch.num_rows);
  kernels_.SiluMul({.gate_up = buffers_.gate_up,
                    .out = buffers_.activation,
                    .num_rows = batch.num_rows,
                    .dim = config_.intermediate_size},
                   *parts_.stream);
  Linear(buffers_.activation, weights.down, nullptr, buffers_.delta, batch.num_rows);
}

void Qwen3MoeModel::AddAndNorm(const float* weight, const StepBatch& batch) {
  kernels_.RmsNorm({.x = buffers_.delta,
                    .residual = buffers_.residual,
                    .weight = weight,
                    .out = buffers_.normed,
                    .num_rows = batch.num_rows,
                    .dim = config_.hidden_size,
                    .eps = config_.rms_norm_eps},
                   *parts_.stream);
}

void Qwen3MoeModel::Head(const StepBatch& batch, const StepResults& results) {
  if (batch.num_logit_rows == 0) return;
  const uint32_t chunk = limits_.options.logit_chunk_rows;
  for (uint32_t begin = 0; begin < batch.num_logit_rows; begin += chunk) {
    HeadChunk(begin, std::min(chunk, batch.num_logit_rows - begin), batch, results);
  }
}

void Qwen3MoeModel::HeadChunk(uint32_t begin, uint32_t num_rows, const StepBatch& batch,
                              const StepResults& results) {
  kernels_.GatherRows({.x = buffers_.normed,
                       .rows = batch.logit_rows + begin,
                       .out = buffers_.logit_inputs,
                       .num_rows = num_rows,
                       .dim = config_.hidden_size},
                      *parts_.stream);
  kernels_.Linear({.x = buffers_.logit_inputs,
                   .weight = parts_.weights.lm_head,
                   .bias = nullptr,
                   .out = buffers_.logits,
                   .out_dtype = DType::kF32,
                   .num_rows = num_rows},
                  *parts_.stream);
  if (begin < batch.num_sampled) {
    kernels_.Sample({.logits = buffers_.logits,
                     .rows = batch.sampling + begin,
                     .history = batch.history,
                     .biases = batch.biases,
                     .out_tokens = results.tokens.device + begin,
                     .workspace = buffers_.sample_workspace,
                     .num_rows = std::min(num_rows, batch.num_sampled - begin),
                     .vocab = config_.vocab_size},
                    *parts_.stream);
  }
  if (!results.has_logprobs) return;
  const size_t top_offset = size_t{begin} * results.top_n;
  const bool with_top = results.top_n > 0;
  kernels_.LogProbs({.logits = buffers_.logits,
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
