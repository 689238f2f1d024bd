#include "worker/model/step_graphs.h"

namespace spearfish::worker {

void StepGraphs::Run(const StepShape& shape, kernels::Stream& stream,
                     absl::FunctionRef<void()> enqueue) {
  if (shape.num_rows != shape.num_seqs || shape.num_rows > kMaxRows) {
    enqueue();
    return;
  }
  if (graphs_.size() >= kMaxGraphs && !graphs_.contains(shape)) {
    graphs_.clear();
    num_graphs_ = 0;
  }
  const auto [entry, is_new] = graphs_.try_emplace(shape);
  if (is_new) {
    enqueue();
    return;
  }
  std::unique_ptr<kernels::Graph>& graph = entry->second;
  if (graph == nullptr) {
    stream.BeginCapture();
    enqueue();
    graph = stream.EndCapture();
    ++num_graphs_;
  }
  stream.Launch(*graph);
  ++num_launches_;
}

}  // namespace spearfish::worker
