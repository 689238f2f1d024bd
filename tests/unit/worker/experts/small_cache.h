// A packed cache of a small synthetic checkpoint.
#ifndef TESTS_UNIT_WORKER_EXPERTS_SMALL_CACHE_H_
#define TESTS_UNIT_WORKER_EXPERTS_SMALL_CACHE_H_

#include <gtest/gtest.h>

#include <memory>

#include "common/base/check.h"
#include "common/expert_cache/cache_file.h"
#include "common/expert_cache/cache_plan.h"
#include "common/safetensors/checkpoint.h"
#include "tests/support/synthetic_checkpoint.h"
#include "tests/support/temp_dir.h"

namespace spearfish::tests {

// Three layers of which the middle one is dense, and an odd number of experts.
class SmallCache {
 public:
  static constexpr uint32_t kNumExperts = 7;
  static constexpr uint32_t kNumMoeLayers = 2;

  SmallCache() {
    WriteSyntheticCheckpoint({.hidden_size = 64,
                              .num_layers = 3,
                              .num_experts = kNumExperts,
                              .moe_intermediate_size = 64,
                              .mlp_only_layers = {1}},
                             dir_.path());
    auto checkpoint = Checkpoint::Open(dir_.path());
    SF_CHECK_OK(checkpoint.status());
    const auto plan = CachePlan::FromCheckpoint(**checkpoint, {});
    SF_CHECK_OK(plan.status());
    SF_CHECK_OK(WriteCacheFile(**checkpoint, *plan, dir_.File("experts.cache"), 1, nullptr));
    auto file = CacheFile::Open(dir_.File("experts.cache"));
    SF_CHECK_OK(file.status());
    file_ = *std::move(file);
  }

  const CacheView& view() const { return file_->cache(); }

 private:
  TempDir dir_;
  std::unique_ptr<CacheFile> file_;
};

}  // namespace spearfish::tests

#endif  // TESTS_UNIT_WORKER_EXPERTS_SMALL_CACHE_H_
