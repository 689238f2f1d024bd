#include "kernels/cpu/log_probs.h"

#include <cmath>
#include <limits>
#include <span>

#include "kernels/cpu/row_blocks.h"
#include "kernels/cpu/vocab_scan.h"

namespace spearfish::kernels {
namespace {

double LogSumExp(std::span<const float> logits) {
  const float max = LargestFinite(logits);
  // No finite logit: the probabilities are not defined, and differences with NaN say so.
  if (std::isinf(max)) return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(max) + std::log(SumExp(logits, max, 1.0f));
}

// Writes the ids of the top_n largest logits, in descending order. Ids come in ascending order and
// go after equal logits, so ties keep the lower id first. NaN counts as the least.
void TopIds(std::span<const float> logits, uint32_t top_n, int32_t* ids) {
  const auto key = [logits](int32_t id) {
    const float logit = logits[static_cast<size_t>(id)];
    return std::isnan(logit) ? -HUGE_VALF : logit;
  };
  const auto insert = [&](int32_t id, uint32_t at) {
    for (; at > 0 && key(ids[at - 1]) < key(id); --at) ids[at] = ids[at - 1];
    ids[at] = id;
  };
  for (uint32_t id = 0; id < top_n; ++id) insert(static_cast<int32_t>(id), id);
  size_t id = FindAbove(logits, top_n, key(ids[top_n - 1]));
  while (id < logits.size()) {
    insert(static_cast<int32_t>(id), top_n - 1);
    id = FindAbove(logits, id + 1, key(ids[top_n - 1]));
  }
}

void LogProbsRow(const LogProbsArgs& args, uint32_t row) {
  const std::span<const float> logits(args.logits + size_t{row} * args.vocab, args.vocab);
  const double log_sum = LogSumExp(logits);
  const float chosen = logits[static_cast<size_t>(args.tokens[row])];
  args.token_logprobs[row] = static_cast<float>(static_cast<double>(chosen) - log_sum);
  args.ranks[row] = static_cast<int32_t>(CountAbove(logits, chosen));
  if (args.top_n == 0) return;
  int32_t* ids = args.top_ids + size_t{row} * args.top_n;
  float* logprobs = args.top_logprobs + size_t{row} * args.top_n;
  TopIds(logits, args.top_n, ids);
  for (uint32_t i = 0; i < args.top_n; ++i) {
    const double logit = logits[static_cast<size_t>(ids[i])];
    logprobs[i] = static_cast<float>(logit - log_sum);
  }
}

}  // namespace

void LogProbsCpu(const LogProbsArgs& args, ThreadPool& pool) {
  ForEachRow(pool, args.num_rows, uint64_t{8} * args.vocab,
             [&](uint32_t row) { LogProbsRow(args, row); });
}

}  // namespace spearfish::kernels
