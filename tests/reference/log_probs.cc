#include "tests/reference/log_probs.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace spearfish::reference {

LogProbsResult LogProbs(const kernels::LogProbsArgs& args) {
  LogProbsResult result;
  for (size_t r = 0; r < args.num_rows; ++r) {
    const float* row = args.logits + r * args.vocab;
    const std::vector<double> logits(row, row + args.vocab);
    const double max = *std::max_element(logits.begin(), logits.end());
    double sum = 0.0;
    for (const double logit : logits) sum += std::exp(logit - max);
    const double log_sum = max + std::log(sum);

    const double chosen = logits[static_cast<size_t>(args.tokens[r])];
    result.token_logprobs.push_back(chosen - log_sum);
    result.ranks.push_back(static_cast<int32_t>(std::count_if(
        logits.begin(), logits.end(), [chosen](double logit) { return logit > chosen; })));
    std::vector<int32_t> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
      return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
    });
    for (size_t i = 0; i < args.top_n; ++i) {
      result.top_ids.push_back(order[i]);
      result.top_logprobs.push_back(logits[static_cast<size_t>(order[i])] - log_sum);
    }
  }
  return result;
}

}  // namespace spearfish::reference
