// A pool of the size that is asked for, over a synthetic cache, with steps that read it.
#ifndef TESTS_BENCH_POOL_UNDER_LOAD_H_
#define TESTS_BENCH_POOL_UNDER_LOAD_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/bench/routed_steps.h"
#include "tests/bench/synthetic_cache.h"
#include "tests/golden/test_device.h"
#include "worker/experts/expert_pool.h"
#include "worker/experts/expert_store.h"
#include "worker/experts/frame_arena.h"

namespace spearfish::bench {

struct PoolUnderLoadOptions {
  std::string device = "cpu";  // tests/golden/test_device.h
  uint32_t layers = 48;        // Qwen3.5-122B-A10B's experts
  uint32_t experts = 256;
  uint32_t hidden = 3072;
  uint32_t channels = 1024;
  uint32_t top_k = 8;
  uint64_t pool_bytes = 24'000'000'000;
  uint32_t num_threads = 0;  // that compute on the CPU device; 0 = all cores
  double promotions_per_layer_token = 0;
};

// Owns everything; members are destroyed in reverse. The lower half of the slots is hard, the rest
// soft, and all are empty.
struct PoolUnderLoad {
  explicit PoolUnderLoad(const SyntheticCache& cache) : made(cache) {}

  // The checkpoint of the options' shape; its dense weights are small, nothing reads them.
  static tests::SyntheticOptions Model(const PoolUnderLoadOptions& options);
  // What the device must have for the pool and for the steps.
  static absl::StatusOr<std::unique_ptr<PoolUnderLoad>> Create(const SyntheticCache& made,
                                                               const PoolUnderLoadOptions& options);

  uint32_t num_slots() const { return arena->num_frames(); }
  uint32_t num_hard() const { return num_slots() / 2; }
  uint32_t num_soft() const { return num_slots() - num_hard(); }

  const SyntheticCache& made;
  uint64_t budget_bytes = 0;
  double register_seconds = 0;
  tests::TestDevice device;
  std::unique_ptr<kernels::Stream> stream;
  std::unique_ptr<worker::ExpertStore> store;
  std::unique_ptr<worker::FrameArena> arena;
  std::unique_ptr<kernels::Buffer> staging;  // page-locked, one record
  std::unique_ptr<worker::ExpertPool> pool;
  std::unique_ptr<RoutedSteps> steps;
};

}  // namespace spearfish::bench

#endif  // TESTS_BENCH_POOL_UNDER_LOAD_H_
