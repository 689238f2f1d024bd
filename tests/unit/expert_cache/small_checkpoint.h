// A small synthetic checkpoint on disk, opened, with the plan of its cache.
#ifndef TESTS_UNIT_EXPERT_CACHE_SMALL_CHECKPOINT_H_
#define TESTS_UNIT_EXPERT_CACHE_SMALL_CHECKPOINT_H_

#include <memory>
#include <string>

#include "common/expert_cache/cache_plan.h"
#include "common/safetensors/checkpoint.h"
#include "tests/support/synthetic_checkpoint.h"
#include "tests/support/temp_dir.h"

namespace spearfish::tests {

struct SmallCheckpoint {
  explicit SmallCheckpoint(const SyntheticOptions& options) {
    WriteSyntheticCheckpoint(options, folder.path());
    checkpoint = Checkpoint::Open(folder.path()).value();
  }
  CachePlan Plan(const QuantOptions& quant = {}) const {
    return CachePlan::FromCheckpoint(*checkpoint, quant).value();
  }

  TempDir folder;
  std::unique_ptr<Checkpoint> checkpoint;
};

// Three layers of which the middle one is dense; odd sizes.
inline SyntheticOptions SmallOptions() {
  SyntheticOptions options;
  options.hidden_size = 64;
  options.num_heads = 2;
  options.num_kv_heads = 1;
  options.num_layers = 3;
  options.mlp_only_layers = {1};
  options.num_experts = 3;
  options.moe_intermediate_size = 64;
  return options;
}

}  // namespace spearfish::tests

#endif  // TESTS_UNIT_EXPERT_CACHE_SMALL_CHECKPOINT_H_
