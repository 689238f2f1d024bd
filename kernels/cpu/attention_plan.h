// How the CPU device cuts attention into pieces of work, and the softmax states they produce.
#ifndef KERNELS_CPU_ATTENTION_PLAN_H_
#define KERNELS_CPU_ATTENTION_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/api/kernels.h"

namespace spearfish::kernels {

// Keys per softmax update. Chunks start at multiples of it, whatever the KV blocks are.
inline constexpr uint32_t kAttentionChunk = 64;
// Keys per partial result; a multiple of the chunk. Partial results are merged in order.
inline constexpr uint32_t kAttentionSpan = 512;
// Query rows that pass over a chunk together, while it is in the first-level cache.
inline constexpr uint32_t kAttentionTileRows = 8;

// Consecutive query rows of one sequence.
struct AttentionTile {
  uint32_t sequence;
  uint32_t first_row;
  uint32_t num_rows;
  uint32_t first_num_keys;  // keys the first row sees; each later row sees one more

  uint32_t max_num_keys() const { return first_num_keys + num_rows - 1; }
  uint32_t num_spans() const { return (max_num_keys() + kAttentionSpan - 1) / kAttentionSpan; }
};

// The tiles of one call. Reused between calls so that a step allocates nothing once it is warm.
struct AttentionPlan {
  std::vector<AttentionTile> tiles;
  uint32_t max_spans = 1;

  // Rows that stand before position 0 (padding) see no key; they get tiles of their own.
  void Build(const AttentionArgs& args);
};

// The running softmax of consecutive heads: largest score, sum of exp(score - max), and the values
// weighted by it. A view: acc is [heads, head_dim].
struct SoftmaxState {
  float* max;
  float* sum;
  float* acc;

  SoftmaxState Head(size_t head, size_t head_dim) const {
    return {max + head, sum + head, acc + head * head_dim};
  }
};

// The states of a tile's rows in one run of floats: max and sum of every row, then acc.
class TileStates {
 public:
  TileStates(float* memory, size_t group, size_t head_dim)
      : memory_(memory), group_(group), head_dim_(head_dim) {}

  static size_t NumFloats(size_t group, size_t head_dim) {
    return kAttentionTileRows * group * (2 + head_dim);
  }

  SoftmaxState Row(size_t row) const {
    float* acc = memory_ + 2 * kAttentionTileRows * group_;
    return {memory_ + row * group_, memory_ + (kAttentionTileRows + row) * group_,
            acc + row * group_ * head_dim_};
  }

  // No key seen yet.
  void Clear(uint32_t num_rows) const;

 private:
  float* memory_;
  size_t group_;
  size_t head_dim_;
};

}  // namespace spearfish::kernels

#endif  // KERNELS_CPU_ATTENTION_PLAN_H_
