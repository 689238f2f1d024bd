// Float64 oracle of LogProbs.
#ifndef TESTS_REFERENCE_LOG_PROBS_H_
#define TESTS_REFERENCE_LOG_PROBS_H_

#include <cstdint>
#include <vector>

#include "kernels/api/kernels.h"

namespace spearfish::reference {

struct LogProbsResult {
  std::vector<double> token_logprobs;  // [num_rows]
  std::vector<int32_t> ranks;          // [num_rows]
  std::vector<int32_t> top_ids;        // [num_rows, top_n]
  std::vector<double> top_logprobs;    // [num_rows, top_n]
};
LogProbsResult LogProbs(const kernels::LogProbsArgs& args);

}  // namespace spearfish::reference

#endif  // TESTS_REFERENCE_LOG_PROBS_H_
