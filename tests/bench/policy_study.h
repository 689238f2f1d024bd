// One model's traces, and the tables that policy_sim prints about them.
#ifndef TESTS_BENCH_POLICY_STUDY_H_
#define TESTS_BENCH_POLICY_STUDY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tests/bench/policy_result.h"
#include "tests/bench/routing_file.h"
#include "tests/bench/routing_model.h"
#include "tests/bench/routing_trace.h"

namespace spearfish::bench {

struct StudyOptions {
  uint32_t num_layers = 48;
  uint64_t seed = 1;
  // Prompts follow one another on a pool that keeps what it has. The first is not counted.
  size_t tokens_per_prompt = 512;
  size_t counted_prompts = 8;
  // Recorded before those, for the static set and as heatmap: the same G, other prompts.
  size_t training_prompts = 16;
  size_t arrival_steps = 1;
};

class PolicyStudy {
 public:
  PolicyStudy(std::string name, const RoutingFile& file, const StudyOptions& options);

  // Static and LRU at all resident fractions beside the file's curves; answers the largest
  // deviation.
  double PrintGeneratorCheck() const;
  // All policies at one resident fraction: one row of the table whose head is PolicyTableHead().
  void PrintPolicies(double fraction) const;
  // Hit rate and transfers against the cap on promotions.
  void PrintCaps(double fraction) const;
  // The soft tier chosen with and without the prompt's routing.
  void PrintPrompts(double fraction) const;

 private:
  SimulationOptions At(double fraction) const {
    return {.resident_fraction = fraction, .first_counted = options_.tokens_per_prompt};
  }
  PolicyResult Ours(double fraction, double cap) const;
  PolicyResult BestOracle(double fraction) const;
  std::string FileColumns(double fraction) const;

  const std::string name_;
  const RoutingFile& file_;
  const KnownRouting& known_;
  const StudyOptions options_;
  RoutingModel trained_;  // as it stood when the training trace ended
  std::vector<uint32_t> heatmap_;
  RoutingTrace trace_;
};

// A checkpoint's own routing over a text: the first half for the static set, the second counted.
void PrintTextTableHead();
void PrintTextPolicies(const std::string& name, const RoutingTrace& trace, double fraction);

void PrintPolicyTableHead();
void PrintPromptTableHead();

}  // namespace spearfish::bench

#endif  // TESTS_BENCH_POLICY_STUDY_H_
