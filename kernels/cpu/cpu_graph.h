// Graphs of the CPU device: recorded tasks, replayed in order by the stream that launches them.
#ifndef KERNELS_CPU_CPU_GRAPH_H_
#define KERNELS_CPU_CPU_GRAPH_H_

#include <memory>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "kernels/api/device.h"

namespace spearfish::kernels {

// One piece of work of a stream. Const, because a graph runs the same task many times.
using CpuTask = absl::AnyInvocable<void() const>;

// Immutable. The tasks are shared with the launches still queued, so the graph may be destroyed
// before they have run.
class CpuGraph : public Graph {
 public:
  explicit CpuGraph(std::vector<CpuTask> tasks)
      : tasks_(std::make_shared<const std::vector<CpuTask>>(std::move(tasks))) {}

  const std::shared_ptr<const std::vector<CpuTask>>& tasks() const { return tasks_; }

 private:
  const std::shared_ptr<const std::vector<CpuTask>> tasks_;
};

}  // namespace spearfish::kernels

#endif  // KERNELS_CPU_CPU_GRAPH_H_
