#include "tests/gpu/step_table.h"

#include <cxxabi.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <map>

#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "common/base/check.h"

namespace spearfish::gpu {
namespace {

double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

StepTable::Spans SpansOf(std::span<const Activity> step) {
  uint64_t end = step.front().start_ns;
  uint64_t busy = 0;
  for (const Activity& activity : step) {
    const uint64_t begin = std::max(end, activity.start_ns);
    if (activity.end_ns <= begin) continue;  // within another
    busy += activity.end_ns - begin;
    end = activity.end_ns;
  }
  return {.span_micros = static_cast<double>(end - step.front().start_ns) / 1e3,
          .busy_micros = static_cast<double>(busy) / 1e3};
}

}  // namespace

std::string KernelName(const char* mangled) {
  int status = 0;
  char* demangled = abi::__cxa_demangle(mangled, nullptr, nullptr, &status);
  std::string name = status == 0 ? demangled : mangled;
  std::free(demangled);
  name = absl::StrReplaceAll(name, {{"(anonymous namespace)::", ""}, {"spearfish::kernels::", ""}});
  name = std::string(absl::StripPrefix(name, "void "));
  int depth = 0;  // of angle brackets: casts among template arguments have parentheses, too
  for (size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '<') ++depth;
    if (name[i] == '>') --depth;
    if (name[i] == '(' && depth == 0) return name.substr(0, i);
  }
  return name;
}

StepTable MakeStepTable(std::span<const Activity> activities, uint32_t num_steps) {
  SF_CHECK(num_steps > 0);
  std::map<std::string, StepTable::Row> rows;
  StepTable table;
  uint64_t end = 0;  // of all before
  for (const Activity& activity : activities) {
    StepTable::Row& row = rows[activity.name];
    row.calls += 1.0 / num_steps;
    const uint64_t begin = std::max(end, activity.start_ns);
    if (activity.end_ns <= begin) continue;
    row.micros += static_cast<double>(activity.end_ns - begin) / 1e3 / num_steps;
    end = activity.end_ns;
  }
  for (auto& [name, row] : rows) {
    row.name = name;
    table.sum_micros += row.micros;
    table.rows.push_back(row);
  }
  std::sort(table.rows.begin(), table.rows.end(),
            [](const auto& a, const auto& b) { return a.micros > b.micros; });
  if (activities.empty() || activities.size() % num_steps != 0) return table;
  const size_t each = activities.size() / num_steps;
  std::vector<double> spans;
  std::vector<double> busy;
  for (uint32_t step = 0; step < num_steps; ++step) {
    const StepTable::Spans of_step = SpansOf(activities.subspan(step * each, each));
    spans.push_back(of_step.span_micros);
    busy.push_back(of_step.busy_micros);
  }
  table.spans = {.span_micros = Median(spans), .busy_micros = Median(busy)};
  return table;
}

}  // namespace spearfish::gpu
