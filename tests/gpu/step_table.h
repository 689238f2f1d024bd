// The kernels of a step, from the activities of many equal ones. Pure.
#ifndef TESTS_GPU_STEP_TABLE_H_
#define TESTS_GPU_STEP_TABLE_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace spearfish::gpu {

// Of the device: one kernel, copy or fill.
struct Activity {
  std::string name;
  uint64_t start_ns = 0;
  uint64_t end_ns = 0;
};

// A mangled kernel's name without namespaces, return type and parameters; template arguments stay.
std::string KernelName(const char* mangled);

struct StepTable {
  struct Row {
    std::string name;
    double calls = 0;   // a step
    double micros = 0;  // a step, all calls: from when all before it had ended
  };
  std::vector<Row> rows;  // longest first
  double sum_micros = 0;  // of the rows

  // Medians over the steps, when all have the same number of activities.
  struct Spans {
    double span_micros = 0;  // a step's first start to its last end
    double busy_micros = 0;  // of it, with at least one activity running
  };
  std::optional<Spans> spans;
};

// `activities` in order of start, of num_steps steps that did not overlap.
StepTable MakeStepTable(std::span<const Activity> activities, uint32_t num_steps);

}  // namespace spearfish::gpu

#endif  // TESTS_GPU_STEP_TABLE_H_
