#include "worker/pack/heatmap_routing.h"

#include <algorithm>
#include <array>

#include "common/base/check.h"
#include "worker/kv/block_allocator.h"
#include "worker/kv/block_table.h"

namespace spearfish::worker {
namespace {

// One sequence of at most max_model_len tokens.
void RouteSequence(Model& model, BlockAllocator& allocator, std::span<const TokenId> tokens,
                   uint32_t chunk_tokens, const RoutedStepFn& routed) {
  BlockTable blocks(allocator, model.kv_block_tokens());
  StepOutput output;
  for (size_t begin = 0; begin < tokens.size(); begin += chunk_tokens) {
    const auto rows = static_cast<uint32_t>(std::min<size_t>(chunk_tokens, tokens.size() - begin));
    const auto context = static_cast<uint32_t>(begin) + rows;
    // The reserved extents hold a sequence of max_model_len.
    SF_CHECK(blocks.Grow(context));
    const std::array<StepSequence, 1> sequence = {
        StepSequence{.token_ids = tokens.subspan(begin, rows),
                     .context_len = context,
                     .block_table = blocks.blocks()}};
    model.Forward({.sequences = sequence}, output);
    routed(output.expert_ids, rows);
  }
}

}  // namespace

void RouteTokens(Model& model, std::span<const TokenId> tokens, uint32_t chunk_tokens,
                 const RoutedStepFn& routed) {
  SF_CHECK(chunk_tokens > 0 && chunk_tokens <= model.max_step_tokens());
  BlockAllocator allocator(model.kv_blocks());
  while (!tokens.empty()) {
    const size_t count = std::min<size_t>(tokens.size(), model.max_model_len());
    RouteSequence(model, allocator, tokens.first(count), chunk_tokens, routed);
    tokens = tokens.subspan(count);
  }
}

void CountStep(std::span<const int32_t> expert_ids, uint32_t num_rows, Heatmap& heatmap) {
  const size_t a_layer = expert_ids.size() / heatmap.num_moe_layers;
  for (size_t i = 0; i < expert_ids.size(); ++i) {
    heatmap.counts[i / a_layer * heatmap.num_experts + static_cast<size_t>(expert_ids[i])] += 1;
  }
  heatmap.num_tokens += num_rows;
}

}  // namespace spearfish::worker
