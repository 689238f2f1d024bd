// Steps of the same shape enqueue the same work: captured once, launched from then on.
#ifndef WORKER_MODEL_STEP_GRAPHS_H_
#define WORKER_MODEL_STEP_GRAPHS_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>

#include "absl/functional/function_ref.h"
#include "kernels/api/device.h"

namespace spearfish::worker {

// All that decides what a step enqueues: two steps with equal shapes differ in the contents of
// memory only.
struct StepShape {
  uint32_t num_rows = 0;
  uint32_t num_seqs = 0;
  uint32_t max_blocks = 0;
  uint32_t num_logit_rows = 0;
  uint32_t num_sampled = 0;
  uint32_t history_capacity = 0;
  uint32_t num_biases = 0;
  uint32_t top_n = 0;
  uint32_t workspace_rows = 0;  // the buffers lie elsewhere in another workspace
  bool has_logprobs = false;

  friend auto operator<=>(const StepShape&, const StepShape&) = default;
};

// Owns the graphs. Used by the thread that enqueues steps; destroyed before what they refer to.
class StepGraphs {
 public:
  // Decode only: a prompt's chunk is of a shape that hardly comes again.
  static constexpr uint32_t kMaxRows = 64;
  static constexpr size_t kMaxGraphs = 512;

  // Runs what `enqueue` puts on the stream: as it is when the shape is new, captured when it comes
  // the second time, and by the graph from then on. A step is no decode step when it has more rows
  // than sequences: then always as it is.
  void Run(const StepShape& shape, kernels::Stream& stream, absl::FunctionRef<void()> enqueue);

  size_t num_graphs() const { return num_graphs_; }
  uint64_t num_launches() const { return num_launches_; }

 private:
  std::map<StepShape, std::unique_ptr<kernels::Graph>> graphs_;  // null: seen once
  size_t num_graphs_ = 0;
  uint64_t num_launches_ = 0;
};

}  // namespace spearfish::worker

#endif  // WORKER_MODEL_STEP_GRAPHS_H_
