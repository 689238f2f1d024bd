#include "tests/unit/worker/engine/fake_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace spearfish::worker {

FakeModel::FakeModel(FakeModelOptions options)
    : options_(std::move(options)),
      own_blocks_(options_.num_kv_blocks),
      cells_(size_t{kv_blocks().num_blocks()} * options_.kv_block_tokens, 0xdead) {
  config_.vocab_size = options_.language.vocab_size;
  config_.num_layers = 3;
  config_.moe_layers = {true, false, true};
  config_.num_experts = 8;
  config_.num_experts_per_token = 2;
  config_.eos_token_ids = options_.config_eos_ids;
  generation_config_.eos_token_ids = options_.generation_eos_ids;
}

uint32_t FakeModel::BorrowStepTokens(uint32_t num_rows) {
  EXPECT_LE(num_rows, max_borrowed_step_tokens());
  EXPECT_GT(num_rows, granted_rows_) << "there was no need to ask";
  ++num_borrows_;
  const uint32_t grant = grant_ ? std::min(grant_(num_rows), num_rows) : num_rows;
  granted_rows_ = std::max({grant, granted_rows_, options_.max_step_tokens});
  return granted_rows_;
}

void FakeModel::ReturnStepTokens() {
  EXPECT_GT(granted_rows_, 0u) << "nothing is borrowed";
  granted_rows_ = 0;
  if (on_return_) on_return_();
  ++num_returns_;
}

bool FakeModel::Maintain() {
  const uint32_t calls = ++num_maintains_;
  return calls <= num_copies_;
}

void FakeModel::Forward(const StepInput& input, StepOutput& output) {
  if (on_forward_) on_forward_(input);
  CheckStep(input);
  output.tokens.clear();
  output.logprobs.clear();
  output.ranks.clear();
  output.top_ids.clear();
  output.top_logprobs.clear();
  output.expert_hits.clear();
  ComputeRows(input, output);
  for (const StepLogitRow& row : input.logit_rows) AnswerLogitRow(input, row, output);
}

void FakeModel::CheckStep(const StepInput& input) const {
  EXPECT_LE(input.sequences.size(), options_.max_step_sequences);
  EXPECT_LE(input.top_n, options_.language.vocab_size);
  size_t num_rows = 0;
  std::set<uint32_t> blocks;
  for (const StepSequence& sequence : input.sequences) {
    EXPECT_FALSE(sequence.token_ids.empty());
    EXPECT_LE(sequence.context_len, options_.max_model_len);
    EXPECT_LE(sequence.context_len, sequence.block_table.size() * options_.kv_block_tokens);
    for (const uint32_t block : sequence.block_table) {
      EXPECT_LT(size_t{block} * options_.kv_block_tokens, cells_.size());
      EXPECT_TRUE(blocks.insert(block).second) << "block " << block << " belongs to two";
    }
    num_rows += sequence.token_ids.size();
  }
  EXPECT_LE(num_rows, std::max(options_.max_step_tokens, granted_rows_));
  for (size_t i = 0; i < input.logit_rows.size(); ++i) {
    EXPECT_LT(input.logit_rows[i].row, num_rows);
    if (i == 0) continue;
    EXPECT_GT(input.logit_rows[i].row, input.logit_rows[i - 1].row);
  }
}

size_t FakeModel::SlotOf(const StepSequence& sequence, uint32_t position) const {
  return size_t{sequence.block_table[position / options_.kv_block_tokens]} *
             options_.kv_block_tokens +
         position % options_.kv_block_tokens;
}

void FakeModel::ComputeRows(const StepInput& input, StepOutput& output) {
  rows_.clear();
  for (const StepSequence& sequence : input.sequences) {
    const uint32_t first = sequence.context_len - static_cast<uint32_t>(sequence.token_ids.size());
    uint64_t state = 0;
    for (uint32_t p = 0; p < first; ++p) state = NextState(state, cells_[SlotOf(sequence, p)]);
    for (uint32_t p = first; p < sequence.context_len; ++p) {
      const uint64_t cell = CellOf(sequence.token_ids[p - first], p);
      cells_[SlotOf(sequence, p)] = cell;
      state = NextState(state, cell);
      rows_.push_back({state, p + 1});
      output.expert_hits.push_back(p % 3);
    }
  }
}

void FakeModel::AnswerLogitRow(const StepInput& input, const StepLogitRow& row,
                               StepOutput& output) const {
  const RowState& at = rows_[row.row];
  const std::vector<float> logits = options_.language.Logits(at.state, at.num_tokens);
  const TokenId token =
      row.sample ? ChooseToken(logits, row.sampling, input.history, input.biases) : row.target;
  output.tokens.push_back(token);
  if (!input.logprobs) return;
  const PositionLogprobs logprobs = LogprobsOf(logits, token, input.top_n);
  output.logprobs.push_back(logprobs.chosen.logprob);
  output.ranks.push_back(logprobs.rank);
  for (const TokenLogprob& top : logprobs.top) {
    output.top_ids.push_back(top.token);
    output.top_logprobs.push_back(top.logprob);
  }
}

}  // namespace spearfish::worker
