#include "tests/reference/sample.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "kernels/api/philox.h"

namespace spearfish::reference {
namespace {

constexpr double kBanned = -std::numeric_limits<double>::infinity();

double FiniteOrBanned(double x) { return std::isfinite(x) ? x : kBanned; }

// Tokens whose logit is finite, most likely first, with exp((logit - largest) / temperature).
std::vector<TokenProbability> Ranked(const std::vector<double>& logits, double temperature) {
  std::vector<TokenProbability> ranked;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (std::isfinite(logits[i])) ranked.push_back({static_cast<int32_t>(i), logits[i]});
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.probability > b.probability; });
  if (ranked.empty()) return ranked;
  const double largest = ranked.front().probability;
  for (auto& entry : ranked)
    entry.probability = std::exp((entry.probability - largest) / temperature);
  return ranked;
}

double Mass(const std::vector<TokenProbability>& entries) {
  double mass = 0.0;
  for (const auto& entry : entries) mass += entry.probability;
  return mass;
}

void KeepTopP(double top_p, std::vector<TokenProbability>& ranked) {
  if (top_p >= 1.0) return;
  const double enough = top_p * Mass(ranked);
  double mass = 0.0;
  for (size_t i = 0; i < ranked.size(); ++i) {
    mass += ranked[i].probability;
    if (mass >= enough) return ranked.resize(i + 1);
  }
}

}  // namespace

std::vector<double> AdjustedLogits(const kernels::SampleArgs& args, size_t index) {
  const kernels::SampleRow& row = args.rows[index];
  std::vector<double> logits(args.vocab);
  for (size_t i = 0; i < logits.size(); ++i) {
    logits[i] = FiniteOrBanned(args.logits[index * args.vocab + i]);
  }
  std::map<int32_t, int> generated;  // token -> occurrences among the generated
  const size_t length = size_t{row.num_prompt} + row.num_generated;
  for (size_t i = 0; i < length; ++i) {
    generated[args.history[row.history_begin + i]] += i >= row.num_prompt ? 1 : 0;
  }
  for (const auto& [token, count] : generated) {
    double& logit = logits[static_cast<size_t>(token)];
    logit = logit > 0 ? logit / row.repetition_penalty : logit * row.repetition_penalty;
    logit -= static_cast<double>(row.frequency_penalty) * count;
    if (count > 0) logit -= row.presence_penalty;
    logit = FiniteOrBanned(logit);
  }
  for (size_t i = 0; i < row.num_biases; ++i) {
    const kernels::LogitBias& bias = args.biases[row.bias_begin + i];
    logits[bias.token] = FiniteOrBanned(logits[bias.token] + bias.bias);
  }
  return logits;
}

std::vector<TokenProbability> Distribution(const kernels::SampleArgs& args, size_t index) {
  const kernels::SampleRow& row = args.rows[index];
  std::vector<TokenProbability> ranked = Ranked(AdjustedLogits(args, index), row.temperature);
  if (row.top_k > 0 && row.top_k < ranked.size()) ranked.resize(row.top_k);
  KeepTopP(row.top_p, ranked);
  while (ranked.size() > 1 && ranked.back().probability < row.min_p) ranked.pop_back();
  const double mass = Mass(ranked);
  for (auto& entry : ranked) entry.probability /= mass;
  return ranked;
}

std::vector<int32_t> Sample(const kernels::SampleArgs& args) {
  std::vector<int32_t> tokens;
  for (size_t r = 0; r < args.num_rows; ++r) {
    const kernels::SampleRow& row = args.rows[r];
    if (row.temperature == 0.0f) {
      const std::vector<double> logits = AdjustedLogits(args, r);
      tokens.push_back(
          static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
      continue;
    }
    const double u = kernels::UniformDouble(row.seed, row.counter);
    int32_t token = 0;
    double mass = 0.0;
    for (const auto& entry : Distribution(args, r)) {
      token = entry.token;
      mass += entry.probability;
      if (mass > u) break;
    }
    tokens.push_back(token);
  }
  return tokens;
}

}  // namespace spearfish::reference
