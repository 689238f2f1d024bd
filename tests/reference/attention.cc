#include "tests/reference/attention.h"

#include <algorithm>
#include <cmath>

#include "tests/reference/matrix_values.h"
#include "tests/reference/qk_norm_rope_append.h"

namespace spearfish::reference {
namespace {

// One query head over the keys at `slots`; writes head_dim values.
void AttendHead(const kernels::AttentionArgs& args, size_t query_head,
                const std::vector<size_t>& slots, double* out) {
  const size_t head_dim = args.kv.head_dim;
  const size_t kv_head = query_head % args.num_heads / (args.num_heads / args.kv.num_kv_heads);
  std::vector<double> scores;
  for (const size_t slot : slots) {
    double dot = 0.0;
    for (size_t i = 0; i < head_dim; ++i) {
      dot += Activation(args.q, query_head * head_dim + i) *
             Activation(args.kv.k, KvIndex(args.kv, slot, kv_head, i));
    }
    scores.push_back(dot * static_cast<double>(args.scale));
  }
  const double max = *std::max_element(scores.begin(), scores.end());
  double sum = 0.0;
  for (double& score : scores) sum += score = std::exp(score - max);
  for (size_t j = 0; j < slots.size(); ++j) {
    for (size_t i = 0; i < head_dim; ++i) {
      out[i] += scores[j] / sum * Activation(args.kv.v, KvIndex(args.kv, slots[j], kv_head, i));
    }
  }
}

}  // namespace

std::vector<double> Attention(const kernels::AttentionArgs& args) {
  const size_t head_dim = args.kv.head_dim;
  std::vector<double> out(size_t{args.num_rows} * args.num_heads * head_dim, 0.0);
  for (size_t s = 0; s < args.num_seqs; ++s) {
    const int32_t num_queries = args.query_starts[s + 1] - args.query_starts[s];
    for (int32_t i = 0; i < num_queries; ++i) {
      const int32_t position = args.context_lens[s] - num_queries + i;
      std::vector<size_t> slots;
      for (int32_t p = 0; p <= position; ++p) {
        const auto token = static_cast<uint32_t>(p);
        const int32_t block = args.block_tables[s * args.max_blocks + token / args.kv.block_tokens];
        slots.push_back(static_cast<size_t>(block) * args.kv.block_tokens +
                        token % args.kv.block_tokens);
      }
      if (slots.empty()) continue;
      const auto row = static_cast<size_t>(args.query_starts[s] + i);
      for (size_t h = 0; h < args.num_heads; ++h) {
        const size_t query_head = row * args.num_heads + h;
        AttendHead(args, query_head, slots, &out[query_head * head_dim]);
      }
    }
  }
  return out;
}

}  // namespace spearfish::reference
