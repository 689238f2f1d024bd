#include "kernels/cpu/attention_plan.h"

#include <algorithm>
#include <limits>

namespace spearfish::kernels {

void AttentionPlan::Build(const AttentionArgs& args) {
  tiles.clear();
  max_spans = 1;
  for (uint32_t s = 0; s < args.num_seqs; ++s) {
    const int32_t begin = args.query_starts[s];
    const int32_t end = args.query_starts[s + 1];
    for (int32_t row = begin; row < end;) {
      const int32_t num_keys = args.context_lens[s] - (end - row) + 1;
      const int32_t most = num_keys < 1 ? 1 : static_cast<int32_t>(kAttentionTileRows);
      const int32_t num_rows = std::min(most, end - row);
      tiles.push_back({.sequence = s,
                       .first_row = static_cast<uint32_t>(row),
                       .num_rows = static_cast<uint32_t>(num_rows),
                       .first_num_keys = static_cast<uint32_t>(std::max(num_keys, 0))});
      max_spans = std::max(max_spans, tiles.back().num_spans());
      row += num_rows;
    }
  }
}

void TileStates::Clear(uint32_t num_rows) const {
  for (uint32_t row = 0; row < num_rows; ++row) {
    const SoftmaxState state = Row(row);
    std::fill_n(state.max, group_, -std::numeric_limits<float>::infinity());
    std::fill_n(state.sum, group_, 0.0f);
    std::fill_n(state.acc, group_ * head_dim_, 0.0f);
  }
}

}  // namespace spearfish::kernels
