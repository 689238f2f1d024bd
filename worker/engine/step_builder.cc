#include "worker/engine/step_builder.h"

#include <algorithm>

#include "worker/engine/live_request.h"

namespace spearfish::worker {

void StepBuilder::Clear() {
  num_rows_ = 0;
  logprobs_ = false;
  top_n_ = 0;
  pieces_.clear();
  sequences_.clear();
  logit_rows_.clear();
  history_.clear();
  biases_.clear();
}

void StepBuilder::Add(Sequence& sequence, uint32_t num_tokens) {
  const uint32_t computed = sequence.num_computed();
  StepPiece piece{.sequence = &sequence,
                  .num_tokens = num_tokens,
                  .row_begin = num_rows_,
                  .logit_begin = static_cast<uint32_t>(logit_rows_.size()),
                  .samples = computed + num_tokens == sequence.num_tokens()};
  AddPromptRows(sequence, piece);
  if (piece.samples) AddSampleRow(sequence, num_rows_ + num_tokens - 1);
  piece.num_logit_rows = static_cast<uint32_t>(logit_rows_.size()) - piece.logit_begin;
  pieces_.push_back(piece);
  sequences_.push_back({.token_ids = sequence.tokens().subspan(computed, num_tokens),
                        .context_len = computed + num_tokens,
                        .block_table = sequence.blocks()});
  num_rows_ += num_tokens;
}

// The row of position p gives the log-probability of prompt token p + 1. A prompt that was
// preempted half way goes on where its log-probabilities end.
void StepBuilder::AddPromptRows(const Sequence& sequence, const StepPiece& piece) {
  const PreparedRequest& request = sequence.request();
  const std::optional<uint32_t>& top_n = request.request().output.prompt_logprobs;
  const LiveRequest& live = sequence.owner();
  if (!top_n || live.prompt_done || sequence.index() != 0) return;
  const uint32_t begin = sequence.num_computed();
  const uint32_t end = std::min(begin + piece.num_tokens, request.num_prompt_tokens() - 1);
  const uint32_t collected = static_cast<uint32_t>(live.prompt_logprobs.size());
  for (uint32_t position = std::max(begin, collected); position < end; ++position) {
    logit_rows_.push_back({.row = piece.row_begin + position - begin,
                           .target = request.request().prompt[position + 1],
                           .sampling = {}});
    WantTop(*top_n);
  }
}

void StepBuilder::AddSampleRow(const Sequence& sequence, uint32_t row) {
  const PreparedRequest& request = sequence.request();
  kernels::SampleRow sampling = sequence.Sampling();
  sampling.history_begin = static_cast<uint32_t>(history_.size());
  if (request.needs_history()) {
    history_.insert(history_.end(), sequence.tokens().begin(), sequence.tokens().end());
    sampling.num_prompt = request.num_prompt_tokens();
    sampling.num_generated = sequence.num_generated();
  }
  const std::span<const kernels::LogitBias> biases = request.BiasesFor(sequence.num_generated());
  sampling.bias_begin = static_cast<uint32_t>(biases_.size());
  sampling.num_biases = static_cast<uint32_t>(biases.size());
  biases_.insert(biases_.end(), biases.begin(), biases.end());
  logit_rows_.push_back({.row = row, .sample = true, .sampling = sampling});
  if (request.request().output.logprobs) WantTop(*request.request().output.logprobs);
}

void StepBuilder::WantTop(uint32_t top_n) {
  logprobs_ = true;
  top_n_ = std::max(top_n_, std::min(top_n, vocab_size_));
}

StepInput StepBuilder::input() const {
  return {.sequences = sequences_,
          .logit_rows = logit_rows_,
          .history = history_,
          .biases = biases_,
          .logprobs = logprobs_,
          .top_n = top_n_};
}

}  // namespace spearfish::worker
