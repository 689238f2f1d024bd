// A model for decode benchmarks whose experts fit everywhere: 8 layers, 32 experts of 512 channels.
#ifndef TESTS_BENCH_SMALL_MOE_H_
#define TESTS_BENCH_SMALL_MOE_H_

#include "tests/support/synthetic_checkpoint.h"

namespace spearfish::tests {

inline SyntheticOptions SmallMoe() {
  return {.vocab_size = 2048,
          .hidden_size = 1024,
          .num_layers = 8,
          .num_heads = 16,
          .num_kv_heads = 2,
          .head_dim = 128,
          .num_experts = 32,
          .num_experts_per_token = 8,
          .moe_intermediate_size = 512,
          .max_position_embeddings = 4096};
}

}  // namespace spearfish::tests

#endif  // TESTS_BENCH_SMALL_MOE_H_
