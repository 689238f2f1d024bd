#include "tests/bench/routing_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/bench/policy_baselines.h"
#include "tests/bench/routing_file.h"
#include "tests/bench/routing_trace.h"

namespace spearfish::bench {
namespace {

constexpr RoutingParams kSmall = {
    .num_experts = 32, .top_k = 4, .sigma_g = 1.5, .sigma_p = 1.0, .sigma_s = 2.0, .rho = 0.8};

RoutingFile File() {
  auto file = ReadRoutingFile(SPEARFISH_SOURCE_DIR "/tests/data/routing.json");
  EXPECT_TRUE(file.ok()) << file.status();
  return *std::move(file);
}

TEST(RoutingModel, IsTheSameForTheSameSeed) {
  RoutingModel a(kSmall, 2, 7), b(kSmall, 2, 7), c(kSmall, 2, 8);
  const auto of_a = RecordTrace(a, 2, 20).chosen;
  EXPECT_EQ(of_a, RecordTrace(b, 2, 20).chosen);
  EXPECT_NE(of_a, RecordTrace(c, 2, 20).chosen);
}

TEST(RoutingModel, ChoosesDistinctExpertsOfEachLayer) {
  RoutingModel model(kSmall, 3, 1);
  const RoutingTrace trace = RecordTrace(model, 1, 50);
  ASSERT_EQ(trace.num_tokens(), 50U);
  std::vector<uint32_t> counts(trace.num_records());
  for (size_t t = 0; t < trace.num_tokens(); ++t) {
    std::fill(counts.begin(), counts.end(), 0U);
    trace.Count(t, counts);
    EXPECT_LE(*std::max_element(counts.begin(), counts.end()), 1U);
  }
}

// The share of a token's experts that the next one shares, with a drift that lasts and without.
double SharedWithNext(double rho) {
  RoutingParams params = kSmall;
  params.rho = rho;
  RoutingModel model(params, 4, 3);
  const RoutingTrace trace = RecordTrace(model, 2, 100);
  double shared = 0;
  for (size_t t = 1; t < trace.num_tokens(); ++t) {
    std::vector<uint32_t> both(trace.num_records(), 0);
    trace.Count(t - 1, both);
    trace.Count(t, both);
    shared += static_cast<double>(std::count(both.begin(), both.end(), 2U));
  }
  return shared / static_cast<double>(trace.chosen.size());
}

TEST(RoutingModel, RemembersAsLongAsItsCorrelationSays) {
  EXPECT_GT(SharedWithNext(0.95), SharedWithNext(0.0) + 0.1);
}

// Few layers and tokens: the full comparison is `policy_sim --check`.
TEST(RoutingModel, MeetsThePublishedCurvesRoughly) {
  const RoutingFile file = File();
  ASSERT_EQ(file.models.size(), 3U);
  for (const auto& [name, known] : file.models) {
    RoutingModel model(known.params, 4, 5);
    const std::vector<uint32_t> counts = TotalCounts(RecordTrace(model, 12, 128));
    const RoutingTrace trace = RecordTrace(model, 5, 128);
    for (const double fraction : {0.15, 0.402}) {
      const SimulationOptions at{.resident_fraction = fraction, .first_counted = 128};
      EXPECT_NEAR(SimulateStatic(trace, at, counts).hit_rate(),
                  file.CurveAt(known, "static", fraction), 0.08)
          << name;
      EXPECT_NEAR(SimulateLru(trace, at).hit_rate(), file.CurveAt(known, "LRU", fraction), 0.05)
          << name;
    }
  }
}

TEST(RoutingFile, InterpolatesCurves) {
  const RoutingFile file = File();
  const KnownRouting& known = file.models.at("qwen3.5-122b");
  EXPECT_DOUBLE_EQ(file.CurveAt(known, "static", 0.402), 0.755);
  EXPECT_NEAR(file.CurveAt(known, "LRU", 0.175), (0.596 + 0.641) / 2, 1e-9);
  EXPECT_LT(file.CurveAt(known, "none", 0.5), 0);
}

TEST(RoutingFile, SaysWhatIsWrong) {
  EXPECT_EQ(ReadRoutingFile("/nowhere.json").status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace spearfish::bench
