#include "worker/model/step_batch.h"

#include <algorithm>
#include <bit>
#include <cstddef>

#include "common/base/check.h"

namespace spearfish::worker {
namespace {

// 0 stays 0.
uint32_t RoundUp(uint32_t count) { return count == 0 ? 0 : std::bit_ceil(count); }

uint32_t NumBlocks(const StepSequence& sequence, uint32_t block_tokens) {
  return (sequence.context_len + block_tokens - 1) / block_tokens;
}

void CheckSequence(const StepSequence& sequence, const StepLimits& limits) {
  SF_CHECK(!sequence.token_ids.empty());
  SF_CHECK(sequence.token_ids.size() <= sequence.context_len);
  SF_CHECK(sequence.context_len <= limits.options.max_model_len);
  const uint32_t num_blocks = NumBlocks(sequence, limits.options.kv_block_tokens);
  SF_CHECK(num_blocks <= sequence.block_table.size());
  for (const TokenId id : sequence.token_ids) SF_CHECK(id < limits.vocab_size);
  for (const uint32_t block : sequence.block_table.first(num_blocks)) {
    SF_CHECK(block < limits.num_kv_blocks);
  }
}

// Token ids, positions and slots: one entry a row.
void PackRows(const StepInput& input, const KvLayout& kv, StepBatch& batch, StagedMemory& staged) {
  const uint32_t block_tokens = kv.geometry().block_tokens;
  const Staged<int32_t> token_ids = staged.Add<int32_t>(batch.num_rows);
  const Staged<int32_t> positions = staged.Add<int32_t>(batch.num_rows);
  const Staged<int64_t> slots = staged.Add<int64_t>(batch.num_rows);
  size_t row = 0;
  for (const StepSequence& sequence : input.sequences) {
    uint32_t position = sequence.context_len - static_cast<uint32_t>(sequence.token_ids.size());
    for (const TokenId id : sequence.token_ids) {
      token_ids.host[row] = static_cast<int32_t>(id);
      positions.host[row] = static_cast<int32_t>(position);
      const uint32_t block = kv.PhysicalBlock(sequence.block_table[position / block_tokens]);
      slots.host[row] = int64_t{block} * block_tokens + position % block_tokens;
      ++row;
      ++position;
    }
  }
  batch.token_ids = token_ids.device;
  batch.positions = positions.device;
  batch.slots = slots.device;
}

// Query ranges, lengths and block tables: one entry a sequence.
void PackSequences(const StepInput& input, const KvLayout& kv, StepBatch& batch,
                   StagedMemory& staged) {
  const Staged<int32_t> query_starts = staged.Add<int32_t>(batch.num_seqs + 1);
  const Staged<int32_t> context_lens = staged.Add<int32_t>(batch.num_seqs);
  const Staged<int32_t> block_tables =
      staged.Add<int32_t>(size_t{batch.num_seqs} * batch.max_blocks);
  query_starts.host[0] = 0;
  for (size_t s = 0; s < input.sequences.size(); ++s) {
    const StepSequence& sequence = input.sequences[s];
    query_starts.host[s + 1] =
        query_starts.host[s] + static_cast<int32_t>(sequence.token_ids.size());
    context_lens.host[s] = static_cast<int32_t>(sequence.context_len);
    const uint32_t num_blocks = NumBlocks(sequence, kv.geometry().block_tokens);
    const std::span<int32_t> table =
        block_tables.host.subspan(s * batch.max_blocks, batch.max_blocks);
    std::transform(sequence.block_table.begin(), sequence.block_table.begin() + num_blocks,
                   table.begin(),
                   [&](uint32_t block) { return static_cast<int32_t>(kv.PhysicalBlock(block)); });
    std::fill(table.begin() + num_blocks, table.end(), 0);
  }
  batch.query_starts = query_starts.device;
  batch.context_lens = context_lens.device;
  batch.block_tables = block_tables.device;
}

// Counts the sampled ones, too.
void CheckLogitRows(const StepInput& input, const StepLimits& limits, StepBatch& batch) {
  for (size_t i = 0; i < input.logit_rows.size(); ++i) {
    const StepLogitRow& row = input.logit_rows[i];
    SF_CHECK(row.row < batch.num_rows);
    SF_CHECK(i == 0 || input.logit_rows[i - 1].row < row.row);
    SF_CHECK(row.sample || row.target < limits.vocab_size);
    if (!row.sample) continue;
    ++batch.num_sampled;
    const kernels::SampleRow& sampling = row.sampling;
    SF_CHECK(uint64_t{sampling.history_begin} + sampling.num_prompt + sampling.num_generated <=
             input.history.size());
    SF_CHECK(uint64_t{sampling.bias_begin} + sampling.num_biases <= input.biases.size());
  }
}

void PackLogitRows(const StepInput& input, StepBatch& batch, StagedMemory& staged) {
  const Staged<int32_t> rows = staged.Add<int32_t>(batch.num_logit_rows);
  const Staged<int32_t> targets = staged.Add<int32_t>(batch.num_logit_rows);
  const auto sampling = staged.Add<kernels::SampleRow>(batch.num_sampled);
  ForEachLogitRow(input, batch, [&](uint32_t i, uint32_t d) {
    const StepLogitRow& row = input.logit_rows[i];
    rows.host[d] = static_cast<int32_t>(row.row);
    targets.host[d] = row.sample ? 0 : static_cast<int32_t>(row.target);
    if (row.sample) sampling.host[d] = row.sampling;
  });
  batch.history_capacity = RoundUp(static_cast<uint32_t>(input.history.size()));
  const Staged<int32_t> history = staged.Add<int32_t>(batch.history_capacity);
  std::copy(input.history.begin(), input.history.end(), history.host.begin());
  const auto biases = staged.Add<kernels::LogitBias>(input.biases.size());
  std::copy(input.biases.begin(), input.biases.end(), biases.host.begin());
  batch.logit_rows = rows.device;
  batch.targets = targets.device;
  batch.sampling = sampling.device;
  batch.history = history.device;
  batch.biases = biases.device;
  batch.num_biases = static_cast<uint32_t>(input.biases.size());
}

}  // namespace

uint64_t StepBatchBytes(const ModelOptions& options) {
  const uint64_t rows = options.MostStepTokens();
  const uint64_t seqs = options.max_step_sequences;
  return 4 * StagedMemory::BytesOf<int32_t>(rows) +  // token ids, positions, logit rows, targets
         StagedMemory::BytesOf<int64_t>(rows) + StagedMemory::BytesOf<kernels::SampleRow>(rows) +
         2 * StagedMemory::BytesOf<int32_t>(seqs + 1) +
         StagedMemory::BytesOf<int32_t>(seqs * RoundUp(options.BlocksPerSequence())) +
         StagedMemory::BytesOf<int32_t>(std::bit_ceil(seqs * options.max_model_len)) +
         StagedMemory::BytesOf<kernels::LogitBias>(seqs * kMaxLogitBiases);
}

StepBatch PackStep(const StepInput& input, const StepLimits& limits, StagedMemory& staged) {
  const ModelOptions& options = limits.options;
  SF_CHECK(input.sequences.size() <= options.max_step_sequences);
  SF_CHECK(input.history.size() <= uint64_t{options.max_step_sequences} * options.max_model_len);
  SF_CHECK(input.biases.size() <= uint64_t{options.max_step_sequences} * kMaxLogitBiases);
  StepBatch batch{.num_seqs = static_cast<uint32_t>(input.sequences.size()),
                  .num_logit_rows = static_cast<uint32_t>(input.logit_rows.size())};
  uint64_t num_rows = 0;
  for (const StepSequence& sequence : input.sequences) {
    CheckSequence(sequence, limits);
    num_rows += sequence.token_ids.size();
    batch.max_blocks = std::max(batch.max_blocks, NumBlocks(sequence, options.kv_block_tokens));
  }
  batch.max_blocks = RoundUp(batch.max_blocks);
  SF_CHECK(num_rows <= options.MostStepTokens());
  batch.num_rows = static_cast<uint32_t>(num_rows);
  CheckLogitRows(input, limits, batch);

  staged.Reset();
  PackRows(input, limits.kv, batch, staged);
  PackSequences(input, limits.kv, batch, staged);
  PackLogitRows(input, batch, staged);
  return batch;
}

}  // namespace spearfish::worker
