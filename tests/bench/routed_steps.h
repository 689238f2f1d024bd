// The experts' part of decode steps over a real pool, routed from outside.
#ifndef TESTS_BENCH_ROUTED_STEPS_H_
#define TESTS_BENCH_ROUTED_STEPS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/api/device.h"
#include "kernels/api/kernels.h"
#include "worker/experts/expert_pool.h"
#include "worker/experts/expert_store.h"

namespace spearfish::bench {

// Owns a step's buffers and its graph: in every layer the router's kernel (which counts
// activations), then the experts' kernel, for one row. The router is led: its gate is the identity
// and its input is 8 where an expert shall be chosen, so each choice has the weight 1 / top_k. One
// thread; parts must outlive it.
class RoutedSteps {
 public:
  struct Parts {
    kernels::Device& device;
    kernels::Kernels& kernels;
    worker::ExpertStore& store;
    worker::ExpertPool& pool;
    kernels::Stream& stream;
  };
  // Every layer of the model is a MoE layer.
  static absl::StatusOr<std::unique_ptr<RoutedSteps>> Create(const Parts& parts, uint32_t top_k);

  // One step by the pool's protocol; returns at its end. chosen [layers, top_k], distinct in a
  // layer.
  void Run(std::span<const uint16_t> chosen);
  // Of the last step, [layers, hidden] in the kernels' activation type.
  std::vector<std::byte> Outputs();

 private:
  struct Buffers {
    std::unique_ptr<kernels::Buffer> gate;          // [experts, experts] BF16
    std::unique_ptr<kernels::Buffer> host_routes;   // [layers, experts] A
    std::unique_ptr<kernels::Buffer> routes;        // the same on the device
    std::unique_ptr<kernels::Buffer> x;             // [hidden] A
    std::unique_ptr<kernels::Buffer> ids, weights;  // [layers, top_k]
    std::unique_ptr<kernels::Buffer> outputs;       // [layers, hidden] A
    std::unique_ptr<kernels::Buffer> workspace;
  };

  RoutedSteps(const Parts& parts, uint32_t top_k) : parts_(parts), top_k_(top_k) {}
  absl::Status Allocate();
  void FillConstants();
  void Enqueue(kernels::Stream& stream);
  size_t element_bytes() const { return DTypeBytes(parts_.kernels.activation_dtype()); }

  const Parts parts_;
  const uint32_t top_k_;
  Buffers buffers_;
  std::unique_ptr<kernels::Graph> graph_;
};

}  // namespace spearfish::bench

#endif  // TESTS_BENCH_ROUTED_STEPS_H_
