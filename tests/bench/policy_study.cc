#include "tests/bench/policy_study.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/bench/policy_baselines.h"
#include "tests/bench/policy_oracle.h"
#include "tests/bench/policy_pool.h"
#include "tests/bench/policy_prompt.h"
#include "tests/bench/routing_of_text.h"

namespace spearfish::bench {
namespace {

constexpr double kUncapped = 1e9;

std::string Percent(double rate) { return absl::StrFormat("%.1f", 100 * rate); }

std::string WithPromotions(const PolicyResult& result) {
  return absl::StrFormat("%.1f (%.2f)", 100 * result.hit_rate(),
                         result.promotions_per_layer_token());
}

std::pair<PolicyResult, double> BestLfu(const RoutingTrace& trace,
                                        const SimulationOptions& options) {
  std::pair<PolicyResult, double> best;
  for (const double decay : {0.8, 0.9, 0.95, 0.98, 0.99}) {
    const PolicyResult result = SimulateLfu(trace, options, {.decay = decay});
    if (best.second == 0 || result.hit_rate() > best.first.hit_rate()) best = {result, decay};
  }
  return best;
}

// What was published for that policy at that percentage of residents.
std::string Published(const KnownRouting& known, const std::string& policy, double fraction) {
  const std::string key = absl::StrFormat("%s@%g%%", policy, 100 * fraction);
  const auto found = known.published.find(key);
  return found == known.published.end() ? "" : Percent(found->second);
}

}  // namespace

PolicyStudy::PolicyStudy(std::string name, const RoutingFile& file, const StudyOptions& options)
    : name_(std::move(name)),
      file_(file),
      known_(file.models.at(name_)),
      options_(options),
      trained_(known_.params, options.num_layers, options.seed) {
  heatmap_ =
      TotalCounts(RecordTrace(trained_, options_.training_prompts, options_.tokens_per_prompt));
  RoutingModel held_out = trained_;
  trace_ = RecordTrace(held_out, 1 + options_.counted_prompts, options_.tokens_per_prompt);
}

double PolicyStudy::PrintGeneratorCheck() const {
  double largest = 0;
  const auto print = [&](const std::string& policy, const auto& simulate) {
    absl::PrintF("| %s | %s |", name_, policy);
    for (const double fraction : file_.resident_fractions) {
      const double rate = simulate(At(fraction)).hit_rate();
      const double off = rate - file_.CurveAt(known_, policy, fraction);
      largest = std::max(largest, std::abs(off));
      absl::PrintF(" %.1f (%+.1f) |", 100 * rate, 100 * off);
    }
    absl::PrintF("\n");
  };
  print("static",
        [this](const SimulationOptions& at) { return SimulateStatic(trace_, at, heatmap_); });
  print("LRU", [this](const SimulationOptions& at) { return SimulateLru(trace_, at); });
  return largest;
}

PolicyResult PolicyStudy::Ours(double fraction, double cap) const {
  return SimulateOurs(trace_, At(fraction),
                      {.promotions_per_layer_token = cap, .arrival_steps = options_.arrival_steps},
                      {});
}

PolicyResult PolicyStudy::BestOracle(double fraction) const {
  PolicyResult best;
  for (const double weight : {0.4, 0.5, 0.6, 0.7}) {
    const PolicyResult result =
        SimulateOracle(trained_, 1 + options_.counted_prompts, options_.tokens_per_prompt,
                       At(fraction), {.promotions_per_layer_token = 1, .drift_weight = weight});
    if (result.hits > best.hits) best = result;
  }
  return best;
}

std::string PolicyStudy::FileColumns(double fraction) const {
  const std::array<double, 3> curves = {file_.CurveAt(known_, "static", fraction),
                                        file_.CurveAt(known_, "LRU", fraction),
                                        file_.CurveAt(known_, "LFU_best_decay", fraction)};
  std::string published;
  for (const char* policy :
       {"static_heatmap", "static", "LRU", "decayedLFU", "LFU", "dynamic_from_heuristic"}) {
    const std::string rate = Published(known_, policy, fraction);
    if (!rate.empty())
      absl::StrAppend(&published, published.empty() ? "" : ", ", policy, " ", rate);
  }
  return absl::StrCat(Percent(curves[0]), " / ", Percent(curves[1]), " / ", Percent(curves[2]),
                      " | ", published);
}

void PrintPolicyTableHead() {
  absl::PrintF(
      "| model | resident %% | static | LRU | LFU, best decay | LFU .95, 1 a layer | **ours, cap "
      "1** | ours, no cap | knows the scores, cap 1 | file: static / LRU / LFU | published |\n"
      "|---|---|---|---|---|---|---|---|---|---|---|\n");
}

void PolicyStudy::PrintPolicies(double fraction) const {
  const SimulationOptions at = At(fraction);
  const auto [lfu, decay] = BestLfu(trace_, at);
  const PolicyResult capped_lfu = SimulateLfu(trace_, at, {.decay = 0.95, .max_promotions = 1});
  absl::PrintF("| %s | %g | %s | %s | %s, .%02.0f | %s | **%s** | %s | %s | %s |\n", name_,
               100 * fraction, Percent(SimulateStatic(trace_, at, heatmap_).hit_rate()),
               WithPromotions(SimulateLru(trace_, at)), WithPromotions(lfu), 100 * decay,
               WithPromotions(capped_lfu), WithPromotions(Ours(fraction, 1)),
               WithPromotions(Ours(fraction, kUncapped)), Percent(BestOracle(fraction).hit_rate()),
               FileColumns(fraction));
  std::fflush(stdout);
}

void PolicyStudy::PrintCaps(double fraction) const {
  const auto print = [&](const std::string& policy, const PolicyResult& result) {
    absl::PrintF("| %s | %g | %s | %s | %.2f | %.2f |\n", name_, 100 * fraction, policy,
                 Percent(result.hit_rate()), result.promotions_per_layer_token(),
                 result.transfers_per_layer_token());
  };
  print("static", SimulateStatic(trace_, At(fraction), heatmap_));
  print("LRU", SimulateLru(trace_, At(fraction)));
  for (const double cap : {0.125, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5}) {
    print(absl::StrFormat("ours, cap %g", cap), Ours(fraction, cap));
  }
  print("ours, no cap", Ours(fraction, kUncapped));
  std::fflush(stdout);
}

void PrintTextTableHead() {
  absl::PrintF(
      "| checkpoint | experts | resident %% | static | LRU | LFU, best decay | **ours, cap 1** | "
      "ours, no cap |\n|---|---|---|---|---|---|---|---|\n");
}

void PrintTextPolicies(const std::string& name, const RoutingTrace& trace, double fraction) {
  const size_t half = trace.num_tokens() / 2;
  const std::vector<uint32_t> counts = TotalCounts(Part(trace, 0, half));
  const SimulationOptions at{.resident_fraction = fraction, .first_counted = half};
  const auto [lfu, decay] = BestLfu(trace, at);
  const auto ours = [&](double cap) {
    return WithPromotions(SimulateOurs(trace, at, {.promotions_per_layer_token = cap}, {}));
  };
  absl::PrintF("| %s | %d x %d, top %d | %g | %s | %s | %s, .%02.0f | **%s** | %s |\n", name,
               trace.num_layers, trace.num_experts, trace.top_k, 100 * fraction,
               Percent(SimulateStatic(trace, at, counts).hit_rate()),
               WithPromotions(SimulateLru(trace, at)), WithPromotions(lfu), 100 * decay, ours(1),
               ours(kUncapped));
}

void PrintPromptTableHead() {
  absl::PrintF(
      "| model | resident %% | tokens | static heatmap | ours without the prefill | ours with "
      "it |\n|---|---|---|---|---|---|\n");
}

void PolicyStudy::PrintPrompts(double fraction) const {
  RoutingModel held_out = trained_;
  const PromptOptions options{.resident_fraction = fraction};
  const RoutingTrace trace = RecordTrace(held_out, options.first_counted_prompt + 12,
                                         options.prefill_tokens + options.decode_tokens);
  std::array<PromptResult, 3> results;
  for (const auto knowledge : {PromptKnowledge::kHeatmapOnly, PromptKnowledge::kDecodeOnly,
                               PromptKnowledge::kPromptRouting}) {
    results[static_cast<size_t>(knowledge)] = SimulatePrompts(trace, heatmap_, options, knowledge);
  }
  const auto print = [&](size_t tokens, const auto& part) {
    absl::PrintF("| %s | %g | %d | %s | %s | %s |\n", name_, 100 * fraction, tokens,
                 Percent(part(results[0]).hit_rate()), Percent(part(results[1]).hit_rate()),
                 Percent(part(results[2]).hit_rate()));
  };
  print(64, [](const PromptResult& result) { return result.first_64; });
  print(options.decode_tokens, [](const PromptResult& result) { return result.all; });
  std::fflush(stdout);
}

}  // namespace spearfish::bench
