#include "tests/golden/sequence_runner.h"

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>

#include "common/base/check.h"

namespace spearfish::tests {

struct SequenceRunner::Sequence {
  std::vector<TokenId> tokens;  // prompt, then generated
  size_t num_prompt;
  size_t num_computed = 0;
  worker::BlockTable blocks;
  RunOutput output;

  bool done(const RunOptions& options) const {
    if (options.num_generated == 0) return num_computed == num_prompt;
    return output.generated.size() == options.num_generated;
  }
  size_t next_chunk(const RunOptions& options) const {
    const size_t left = tokens.size() - num_computed;
    return options.chunk_tokens == 0 ? left : std::min<size_t>(left, options.chunk_tokens);
  }
};

namespace {

// One sequence's part of a step.
struct Piece {
  size_t sequence;
  size_t first_row;
  size_t num_rows;
};

worker::StepLogitRow TargetRow(size_t row, TokenId target) {
  return {.row = static_cast<uint32_t>(row), .sample = false, .target = target, .sampling = {}};
}

worker::StepLogitRow SampledRow(size_t row, kernels::SampleRow sampling, size_t counter) {
  sampling.counter = counter;
  return {.row = static_cast<uint32_t>(row), .sample = true, .target = 0, .sampling = sampling};
}

}  // namespace

std::vector<RunOutput> SequenceRunner::Run(const std::vector<std::vector<TokenId>>& prompts,
                                           const RunOptions& options) {
  std::vector<Sequence> sequences;
  sequences.reserve(prompts.size());
  for (const std::vector<TokenId>& prompt : prompts) {
    sequences.push_back({.tokens = prompt,
                         .num_prompt = prompt.size(),
                         .blocks = {allocator_, model_.kv_block_tokens()},
                         .output = {}});
  }
  while (Step(sequences, options)) {
  }
  std::vector<RunOutput> outputs;
  outputs.reserve(sequences.size());
  for (Sequence& sequence : sequences) outputs.push_back(std::move(sequence.output));
  return outputs;
}

bool SequenceRunner::Step(std::vector<Sequence>& sequences, const RunOptions& options) {
  std::vector<Piece> pieces;
  std::vector<worker::StepSequence> step_sequences;
  std::vector<worker::StepLogitRow> logit_rows;
  size_t num_rows = 0;
  for (size_t s = 0; s < sequences.size(); ++s) {
    Sequence& sequence = sequences[s];
    if (sequence.done(options)) continue;
    const size_t chunk = sequence.next_chunk(options);
    const size_t begin = sequence.num_computed;
    sequence.num_computed += chunk;
    SF_CHECK(sequence.blocks.Grow(static_cast<uint32_t>(sequence.num_computed)));
    for (size_t i = begin; i < sequence.num_computed; ++i) {
      const size_t row = num_rows + i - begin;
      logit_rows.push_back(
          i + 1 < sequence.tokens.size()
              ? TargetRow(row, sequence.tokens[i + 1])
              : SampledRow(row, options.sampling, sequence.output.generated.size()));
    }
    step_sequences.push_back({.token_ids = std::span(sequence.tokens).subspan(begin, chunk),
                              .context_len = static_cast<uint32_t>(sequence.num_computed),
                              .block_table = sequence.blocks.blocks()});
    pieces.push_back({.sequence = s, .first_row = num_rows, .num_rows = chunk});
    num_rows += chunk;
  }
  if (pieces.empty()) return false;
  model_.Forward({.sequences = step_sequences,
                  .logit_rows = logit_rows,
                  .history = {},
                  .biases = {},
                  .logprobs = true,
                  .top_n = options.top_n},
                 step_output_);
  for (const Piece& piece : pieces) {
    Collect(sequences[piece.sequence], piece.first_row, piece.num_rows, num_rows, options);
  }
  return true;
}

// Every row is a logit row, so the outputs are indexed by rows.
void SequenceRunner::Collect(Sequence& sequence, size_t first_row, size_t num_rows,
                             size_t step_rows, const RunOptions& options) {
  const size_t begin = sequence.num_computed - num_rows;
  RunOutput& output = sequence.output;
  for (size_t i = begin; i < sequence.num_computed; ++i) {
    const size_t row = first_row + i - begin;
    if (i + 1 < sequence.num_prompt) {
      output.prompt_logprobs.push_back(step_output_.logprobs[row]);
      continue;
    }
    if (i + 1 == sequence.num_prompt) CollectPromptEnd(output, row, step_rows, options);
    if (output.generated.size() == options.num_generated) continue;
    output.generated.push_back(step_output_.tokens[row]);
    output.generated_logprobs.push_back(step_output_.logprobs[row]);
    sequence.tokens.push_back(step_output_.tokens[row]);
  }
}

void SequenceRunner::CollectPromptEnd(RunOutput& output, size_t row, size_t step_rows,
                                      const RunOptions& options) {
  const auto top = static_cast<ptrdiff_t>(row * options.top_n);
  output.top_ids.assign(step_output_.top_ids.begin() + top,
                        step_output_.top_ids.begin() + top + options.top_n);
  output.top_logprobs.assign(step_output_.top_logprobs.begin() + top,
                             step_output_.top_logprobs.begin() + top + options.top_n);
  const size_t k = model_.config().num_experts_per_token;
  for (size_t layer = 0; layer < model_.config().num_moe_layers(); ++layer) {
    const auto ids = std::span(step_output_.expert_ids).subspan((layer * step_rows + row) * k, k);
    std::vector<int32_t> sorted(ids.begin(), ids.end());
    std::sort(sorted.begin(), sorted.end());
    output.last_experts.push_back(std::move(sorted));
  }
}

}  // namespace spearfish::tests
