#include "tests/gpu/decode_run.h"

#include <algorithm>
#include <random>
#include <set>
#include <span>
#include <utility>

#include "absl/time/clock.h"
#include "common/base/check.h"

namespace spearfish::gpu {

DecodeRun::DecodeRun(worker::Qwen3MoeModel& model, DType activations, uint32_t batch,
                     uint32_t context)
    : model_(model), activations_(activations), allocator_(model.kv_blocks()) {
  std::mt19937 random(11);
  for (uint32_t i = 0; i < batch; ++i) {
    Sequence& sequence = sequences_.emplace_back(
        Sequence{.blocks = worker::BlockTable(allocator_, model.kv_block_tokens()), .tokens = {}});
    for (uint32_t t = 0; t < context; ++t) {
      sequence.tokens.push_back(static_cast<TokenId>(random() % model.config().vocab_size));
    }
  }
  for (Sequence& sequence : sequences_) {
    while (sequence.num_computed < context) {
      const uint32_t left = context - sequence.num_computed;
      Compute({&sequence}, std::min(left, model.max_step_tokens()));
    }
  }
}

// The next `num_tokens` of each; appends the token that follows where all are computed.
void DecodeRun::Compute(std::vector<Sequence*> sequences, uint32_t num_tokens) {
  std::vector<worker::StepSequence> pieces;
  std::vector<worker::StepLogitRow> rows;
  for (Sequence* sequence : sequences) {
    const uint32_t end = sequence->num_computed + num_tokens;
    SF_CHECK(sequence->blocks.Grow(end));
    pieces.push_back(
        {.token_ids = std::span(sequence->tokens).subspan(sequence->num_computed, num_tokens),
         .context_len = end,
         .block_table = sequence->blocks.blocks()});
    rows.push_back({.row = static_cast<uint32_t>(pieces.size()) * num_tokens - 1, .sample = true});
    sequence->num_computed = end;
  }
  model_.Forward({.sequences = pieces, .logit_rows = rows}, output_);
  for (size_t i = 0; i < sequences.size(); ++i) {
    Sequence& sequence = *sequences[i];
    if (sequence.num_computed == sequence.tokens.size()) {
      sequence.tokens.push_back(output_.tokens[i]);
    }
  }
}

double DecodeRun::Step() {
  std::vector<Sequence*> all;
  for (Sequence& sequence : sequences_) all.push_back(&sequence);
  const absl::Time begin = absl::Now();
  Compute(std::move(all), 1);
  return absl::ToDoubleMilliseconds(absl::Now() - begin);
}

StepBytes DecodeRun::Bytes() const {
  const ModelConfig& config = model_.config();
  StepBytes bytes;
  bytes.dense = static_cast<double>(model_.dense_weight_bytes());
  const size_t per_layer = sequences_.size() * config.num_experts_per_token;
  for (size_t at = 0; at < output_.expert_ids.size(); at += per_layer) {
    const auto layer = std::span(output_.expert_ids).subspan(at, per_layer);
    const std::set<int32_t> distinct(layer.begin(), layer.end());
    bytes.experts += static_cast<double>(distinct.size() * model_.expert_record_bytes());
  }
  for (const Sequence& sequence : sequences_) {
    bytes.kv +=
        static_cast<double>(sequence.num_computed) * config.num_layers *
        static_cast<double>(2 * config.num_kv_heads * config.head_dim * DTypeBytes(activations_));
  }
  return bytes;
}

}  // namespace spearfish::gpu
