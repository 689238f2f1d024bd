#include "server/cli/bench_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace spearfish::server::cli {
namespace {

using ::testing::HasSubstr;

StreamOutcome Good(int64_t first_ms, int64_t gap_ms, size_t num_gaps) {
  StreamOutcome outcome;
  outcome.code = grpc::StatusCode::OK;
  outcome.first_token = absl::Milliseconds(first_ms);
  outcome.gaps.assign(num_gaps, absl::Milliseconds(gap_ms));
  outcome.whole = outcome.first_token + absl::Milliseconds(gap_ms) * num_gaps;
  outcome.prompt_tokens = 5;
  outcome.generated_tokens = static_cast<uint32_t>(num_gaps) + 1;
  return outcome;
}

StreamOutcome Failed(grpc::StatusCode code) {
  StreamOutcome outcome;
  outcome.code = code;
  return outcome;
}

TEST(Percentile, IsTheNearestRank) {
  std::vector<double> values;
  for (int i = 100; i >= 1; --i) values.push_back(i);
  EXPECT_EQ(Percentile(values, 0.5), 50);
  EXPECT_EQ(Percentile(values, 0.99), 99);
  EXPECT_EQ(Percentile(values, 1), 100);
  std::vector<double> one = {7};
  EXPECT_EQ(Percentile(one, 0.01), 7);
  std::vector<double> none;
  EXPECT_EQ(Percentile(none, 0.5), 0);
}

TEST(BenchReport, CountsGoodOnesWithinTheServiceLevel) {
  const std::vector<StreamOutcome> outcomes = {Good(100, 10, 4),
                                               Good(300, 10, 4),
                                               Good(100, 50, 4),
                                               Good(100, 50, 0),
                                               Failed(grpc::StatusCode::RESOURCE_EXHAUSTED),
                                               Failed(grpc::StatusCode::RESOURCE_EXHAUSTED),
                                               Failed(grpc::StatusCode::UNAVAILABLE)};
  const BenchReport report =
      Summarize(outcomes, absl::Seconds(2),
                {.first_token = absl::Milliseconds(200), .inter_token = absl::Milliseconds(20)});
  EXPECT_EQ(report.num_streams, 7u);
  EXPECT_EQ(report.num_ok, 4u);
  EXPECT_EQ(report.num_good, 2u);  // the fourth has no gap to be judged by
  EXPECT_EQ(report.goodput(), 1);
  EXPECT_EQ(report.errors.at("RESOURCE_EXHAUSTED"), 2u);
  EXPECT_EQ(report.errors.at("UNAVAILABLE"), 1u);
  EXPECT_EQ(report.generated_tokens, 16u);
  EXPECT_EQ(report.tokens_per_second(), 8);
  EXPECT_EQ(report.first_token.p50_ms, 100);
  EXPECT_EQ(report.first_token.p99_ms, 300);
  EXPECT_EQ(report.inter_token.p50_ms, 10);
  EXPECT_EQ(report.inter_token.p90_ms, 50);
  EXPECT_EQ(report.whole.p99_ms, 340);
}

TEST(BenchReport, WithoutALevelAllThatEndWellAreGood) {
  EXPECT_EQ(Summarize({Good(9000, 900, 1)}, absl::Seconds(1), {}).num_good, 1u);
}

TEST(BenchReport, IsATableOrJson) {
  const BenchReport report =
      Summarize({Good(100, 10, 4), Failed(grpc::StatusCode::UNAVAILABLE)}, absl::Seconds(1), {});
  EXPECT_THAT(ToTable(report), HasSubstr("1 of 2 requests ended well"));
  EXPECT_THAT(ToTable(report), HasSubstr("UNAVAILABLE"));
  const nlohmann::json json = nlohmann::json::parse(ToJson(report));
  EXPECT_EQ(json["ok"], 1);
  EXPECT_EQ(json["errors"]["UNAVAILABLE"], 1);
  EXPECT_EQ(json["ttft_ms"]["p50"], 100.0);
  EXPECT_EQ(json["tokens_per_second"], 5.0);
}

}  // namespace
}  // namespace spearfish::server::cli
