#include "worker/model/step_results.h"

#include <algorithm>
#include <cstddef>

#include "common/base/bytes.h"
#include "common/base/check.h"

namespace spearfish::worker {
namespace {

// Kernels want every layer's [num_rows, k] 16-byte aligned.
uint64_t ExpertIdsStride(uint64_t num_rows, const ModelConfig& config) {
  return AlignUp(num_rows * config.num_experts_per_token, 4);
}

void DeliverLogitRows(const StepInput& input, const StepBatch& batch, const StepResults& results,
                      StepOutput& output) {
  const size_t with_logprobs = results.has_logprobs ? batch.num_logit_rows : 0;
  output.tokens.resize(batch.num_logit_rows);
  output.logprobs.resize(with_logprobs);
  output.ranks.resize(with_logprobs);
  output.top_ids.resize(with_logprobs * results.top_n);
  output.top_logprobs.resize(with_logprobs * results.top_n);
  ForEachLogitRow(input, batch, [&](uint32_t i, uint32_t d) {
    output.tokens[i] = static_cast<TokenId>(results.tokens.host[d]);
    if (!results.has_logprobs) return;
    output.logprobs[i] = results.logprobs.host[d];
    output.ranks[i] = static_cast<uint32_t>(results.ranks.host[d]) + 1;
    for (size_t n = 0; n < results.top_n; ++n) {
      const size_t from = size_t{d} * results.top_n + n;
      const size_t to = size_t{i} * results.top_n + n;
      output.top_ids[to] = static_cast<TokenId>(results.top_ids.host[from]);
      output.top_logprobs[to] = results.top_logprobs.host[from];
    }
  });
}

}  // namespace

uint64_t StepResultsBytes(const ModelConfig& config, const ModelOptions& options) {
  const uint64_t rows = options.MostStepTokens();
  const uint64_t top = rows * std::min(kMaxTopLogprobs, config.vocab_size);
  return 3 * StagedMemory::BytesOf<int32_t>(rows) +  // tokens, log-probabilities, ranks
         2 * StagedMemory::BytesOf<int32_t>(top) +
         StagedMemory::BytesOf<int32_t>(config.num_moe_layers() * ExpertIdsStride(rows, config));
}

StepResults PlaceResults(const StepInput& input, const StepBatch& batch, const ModelConfig& config,
                         StagedMemory& staged) {
  SF_CHECK(input.top_n <= std::min(kMaxTopLogprobs, config.vocab_size));
  SF_CHECK(input.logprobs || input.top_n == 0);
  StepResults results{.has_logprobs = input.logprobs, .top_n = input.top_n};
  results.expert_ids_stride = static_cast<uint32_t>(ExpertIdsStride(batch.num_rows, config));
  staged.Reset();
  results.tokens = staged.Add<int32_t>(batch.num_logit_rows);
  results.expert_ids =
      staged.Add<int32_t>(size_t{config.num_moe_layers()} * results.expert_ids_stride);
  if (!input.logprobs) return results;
  results.logprobs = staged.Add<float>(batch.num_logit_rows);
  results.ranks = staged.Add<int32_t>(batch.num_logit_rows);
  if (input.top_n == 0) return results;
  results.top_ids = staged.Add<int32_t>(size_t{batch.num_logit_rows} * input.top_n);
  results.top_logprobs = staged.Add<float>(size_t{batch.num_logit_rows} * input.top_n);
  return results;
}

void DeliverResults(const StepInput& input, const StepBatch& batch, const ModelConfig& config,
                    const StepResults& results, StepOutput& output) {
  DeliverLogitRows(input, batch, results, output);
  const size_t per_layer = size_t{batch.num_rows} * config.num_experts_per_token;
  output.expert_ids.resize(config.num_moe_layers() * per_layer);
  for (size_t layer = 0; layer < config.num_moe_layers(); ++layer) {
    std::copy_n(results.expert_ids.host.begin() + layer * results.expert_ids_stride, per_layer,
                output.expert_ids.begin() + layer * per_layer);
  }
  output.expert_hits.assign(batch.num_rows, 0);
}

void CountHits(const ExpertPool& pool, const ModelConfig& config, StepOutput& output) {
  const size_t k = config.num_experts_per_token;
  const size_t per_layer = output.expert_hits.size() * k;
  for (uint32_t layer = 0; layer < config.num_moe_layers(); ++layer) {
    const int32_t* const ids = output.expert_ids.data() + layer * per_layer;
    for (size_t i = 0; i < per_layer; ++i) {
      const RecordIndex record = layer * config.num_experts + static_cast<uint32_t>(ids[i]);
      output.expert_hits[i / k] += pool.resident(record) ? 1 : 0;
    }
  }
}

}  // namespace spearfish::worker
