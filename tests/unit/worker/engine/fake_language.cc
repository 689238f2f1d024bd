#include "tests/unit/worker/engine/fake_language.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace spearfish::worker {
namespace {

double UnitInterval(uint64_t hash) { return static_cast<double>(hash >> 11) * 0x1.0p-53; }

bool Contains(const std::vector<TokenId>& ids, TokenId id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

std::vector<double> Adjusted(const std::vector<float>& logits, const kernels::SampleRow& row,
                             std::span<const int32_t> history,
                             std::span<const kernels::LogitBias> biases) {
  std::vector<double> adjusted(logits.begin(), logits.end());
  std::map<int32_t, uint32_t> seen;
  std::map<int32_t, uint32_t> generated;
  const auto mine = history.subspan(row.history_begin, row.num_prompt + row.num_generated);
  for (size_t i = 0; i < mine.size(); ++i) {
    ++seen[mine[i]];
    if (i >= row.num_prompt) ++generated[mine[i]];
  }
  for (const auto& [token, count] : seen) {
    double& logit = adjusted[static_cast<size_t>(token)];
    logit = logit > 0 ? logit / row.repetition_penalty : logit * row.repetition_penalty;
  }
  for (const auto& [token, count] : generated) {
    adjusted[static_cast<size_t>(token)] -=
        row.presence_penalty + static_cast<double>(count) * row.frequency_penalty;
  }
  for (const kernels::LogitBias& bias : biases.subspan(row.bias_begin, row.num_biases)) {
    adjusted[bias.token] += bias.bias;
  }
  return adjusted;
}

std::vector<size_t> Descending(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return values[a] > values[b]; });
  return order;
}

// Keeps the tokens that top-k, then top-p, then min-p leave of the most likely.
void Filter(const kernels::SampleRow& row, std::vector<double>& mass) {
  if (row.top_k > 0 && row.top_k < mass.size()) mass.resize(row.top_k);
  const double total = std::accumulate(mass.begin(), mass.end(), 0.0);
  double sum = 0;
  size_t kept = 0;
  while (kept < mass.size() && sum < row.top_p * total) sum += mass[kept++];
  mass.resize(std::max<size_t>(kept, 1));
  while (mass.back() < row.min_p * mass.front()) mass.pop_back();
}

}  // namespace

uint64_t MixHash(uint64_t a, uint64_t b) {
  uint64_t x = a * 0x9e3779b97f4a7c15u ^ (b + 0x7f4a7c15u);
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

uint64_t StateOf(std::span<const TokenId> tokens) {
  uint64_t state = 0;
  for (uint32_t p = 0; p < tokens.size(); ++p) state = NextState(state, CellOf(tokens[p], p));
  return state;
}

std::vector<float> FakeLanguage::Logits(uint64_t state, uint32_t num_tokens) const {
  std::vector<float> logits(vocab_size);
  for (uint32_t v = 0; v < vocab_size; ++v) {
    logits[v] = static_cast<float>(8 * UnitInterval(MixHash(state, v)) - 4);
  }
  const auto scripted = script.find(num_tokens);
  if (scripted != script.end()) logits[scripted->second] += 1000;
  return logits;
}

TokenId ChooseToken(const std::vector<float>& logits, const kernels::SampleRow& row,
                    std::span<const int32_t> history, std::span<const kernels::LogitBias> biases) {
  const std::vector<double> adjusted = Adjusted(logits, row, history, biases);
  const std::vector<size_t> order = Descending(adjusted);
  const double best = adjusted[order.front()];
  if (!std::isfinite(best)) return 0;
  if (row.temperature == 0) return static_cast<TokenId>(order.front());
  std::vector<double> mass;
  mass.reserve(order.size());
  for (const size_t v : order) {
    mass.push_back(std::exp((adjusted[v] - best) / static_cast<double>(row.temperature)));
  }
  Filter(row, mass);
  const double threshold =
      UnitInterval(MixHash(row.seed, row.counter)) * std::accumulate(mass.begin(), mass.end(), 0.0);
  double sum = 0;
  for (size_t i = 0; i < mass.size(); ++i) {
    sum += mass[i];
    if (sum > threshold) return static_cast<TokenId>(order[i]);
  }
  return static_cast<TokenId>(order[mass.size() - 1]);
}

PositionLogprobs LogprobsOf(const std::vector<float>& logits, TokenId token, uint32_t top_n) {
  const std::vector<double> wide(logits.begin(), logits.end());
  const std::vector<size_t> order = Descending(wide);
  double sum = 0;
  for (const double logit : wide) sum += std::exp(logit - wide[order.front()]);
  const double log_sum = wide[order.front()] + std::log(sum);
  const auto logprob = [&](size_t v) { return static_cast<float>(wide[v] - log_sum); };
  PositionLogprobs position;
  position.chosen = {token, logprob(token)};
  position.rank = 1 + static_cast<uint32_t>(std::count_if(
                          wide.begin(), wide.end(), [&](double x) { return x > wide[token]; }));
  for (uint32_t i = 0; i < std::min<size_t>(top_n, order.size()); ++i) {
    position.top.push_back({static_cast<TokenId>(order[i]), logprob(order[i])});
  }
  return position;
}

std::vector<TokenId> ExpectedTokens(const FakeLanguage& language, const GenerationRequest& request,
                                    uint32_t index, uint32_t max_tokens,
                                    const std::vector<TokenId>& eos_ids) {
  const SamplingParams& sampling = request.sampling;
  std::vector<TokenId> stops = request.stopping.stop_token_ids;
  if (!request.stopping.ignore_eos) stops.insert(stops.end(), eos_ids.begin(), eos_ids.end());
  std::vector<TokenId> tokens = request.prompt;
  std::vector<TokenId> generated;
  while (generated.size() < max_tokens) {
    const bool banned = generated.size() < request.stopping.min_tokens;
    std::vector<kernels::LogitBias> biases;
    for (const auto& [id, bias] : sampling.logit_bias) biases.push_back({id, bias});
    for (const TokenId id : stops) {
      if (banned) biases.push_back({id, -std::numeric_limits<float>::infinity()});
    }
    const kernels::SampleRow row{.temperature = sampling.temperature,
                                 .top_p = sampling.top_p,
                                 .min_p = sampling.min_p,
                                 .top_k = sampling.top_k,
                                 .presence_penalty = sampling.presence_penalty,
                                 .frequency_penalty = sampling.frequency_penalty,
                                 .repetition_penalty = sampling.repetition_penalty,
                                 .num_prompt = static_cast<uint32_t>(request.prompt.size()),
                                 .num_generated = static_cast<uint32_t>(generated.size()),
                                 .num_biases = static_cast<uint32_t>(biases.size()),
                                 .seed = sampling.seed + index,
                                 .counter = generated.size()};
    const std::vector<int32_t> history(tokens.begin(), tokens.end());
    const TokenId token =
        ChooseToken(language.Logits(StateOf(tokens), static_cast<uint32_t>(tokens.size())), row,
                    history, biases);
    tokens.push_back(token);
    generated.push_back(token);
    if (!banned && Contains(stops, token)) break;
  }
  return generated;
}

}  // namespace spearfish::worker
