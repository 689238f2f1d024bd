// Float64 oracle of Sample, in full sorts and plain loops.
#ifndef TESTS_REFERENCE_SAMPLE_H_
#define TESTS_REFERENCE_SAMPLE_H_

#include <cstdint>
#include <vector>

#include "kernels/api/kernels.h"

namespace spearfish::reference {

// The row's logits after penalties and biases; -infinity where no longer finite.
std::vector<double> AdjustedLogits(const kernels::SampleArgs& args, size_t row);

struct TokenProbability {
  int32_t token;
  double probability;
};
// What the filters keep, in descending order, renormalised. Empty when no logit is finite.
// Requires temperature > 0.
std::vector<TokenProbability> Distribution(const kernels::SampleArgs& args, size_t row);

// One token a row.
std::vector<int32_t> Sample(const kernels::SampleArgs& args);

}  // namespace spearfish::reference

#endif  // TESTS_REFERENCE_SAMPLE_H_
