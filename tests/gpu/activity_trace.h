// What the device did and when, by CUPTI's activity records: kernels, also those of a graph, copies
// and fills.
#ifndef TESTS_GPU_ACTIVITY_TRACE_H_
#define TESTS_GPU_ACTIVITY_TRACE_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/gpu/step_table.h"

namespace spearfish::gpu {

// Loads libcupti.so.13 while running, so that a machine without it only lacks the trace. Graphs
// that were instantiated before Start may not be traced node by node: start first. A traced step
// takes longer between its kernels; their own times hardly change. One at a time in a process.
class ActivityTrace {
 public:
  // NotFound when there is no CUPTI, Unavailable (in its words) when it refuses.
  static absl::StatusOr<std::unique_ptr<ActivityTrace>> Start();
  ~ActivityTrace();
  ActivityTrace(const ActivityTrace&) = delete;
  ActivityTrace& operator=(const ActivityTrace&) = delete;

  // Everything since the last call, in order of start; the device is idle. DataLoss when CUPTI says
  // that it dropped records.
  absl::StatusOr<std::vector<Activity>> Take();

 private:
  struct Cupti;
  explicit ActivityTrace(std::unique_ptr<Cupti> cupti);

  const std::unique_ptr<Cupti> cupti_;
};

}  // namespace spearfish::gpu

#endif  // TESTS_GPU_ACTIVITY_TRACE_H_
