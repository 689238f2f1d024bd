#include "server/cli/bench_report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"

namespace spearfish::server::cli {
namespace {

bool IsGood(const StreamOutcome& outcome, const ServiceLevel& level) {
  if (level.first_token && outcome.first_token > *level.first_token) return false;
  if (!level.inter_token || outcome.gaps.empty()) return true;
  const absl::Duration sum =
      std::accumulate(outcome.gaps.begin(), outcome.gaps.end(), absl::ZeroDuration());
  return sum / static_cast<int64_t>(outcome.gaps.size()) <= *level.inter_token;
}

Percentiles Of(std::vector<double>& milliseconds) {
  return {Percentile(milliseconds, 0.5), Percentile(milliseconds, 0.9),
          Percentile(milliseconds, 0.99)};
}

nlohmann::json ToJson(const Percentiles& percentiles) {
  return {{"p50", percentiles.p50_ms}, {"p90", percentiles.p90_ms}, {"p99", percentiles.p99_ms}};
}

std::string Row(const char* name, const Percentiles& percentiles) {
  return absl::StrFormat("%-22s %10.2f %10.2f %10.2f\n", name, percentiles.p50_ms,
                         percentiles.p90_ms, percentiles.p99_ms);
}

}  // namespace

double Percentile(std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  const double rank = std::ceil(share * static_cast<double>(values.size()));
  const auto at = values.begin() + std::max<int64_t>(0, static_cast<int64_t>(rank) - 1);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

BenchReport Summarize(const std::vector<StreamOutcome>& outcomes, absl::Duration took,
                      const ServiceLevel& level) {
  BenchReport report;
  report.seconds = absl::ToDoubleSeconds(took);
  report.num_streams = outcomes.size();
  std::vector<double> first_token;
  std::vector<double> inter_token;
  std::vector<double> whole;
  for (const StreamOutcome& outcome : outcomes) {
    report.prompt_tokens += outcome.prompt_tokens;
    report.generated_tokens += outcome.generated_tokens;
    if (outcome.code != grpc::StatusCode::OK) {
      ++report.errors[absl::StatusCodeToString(static_cast<absl::StatusCode>(outcome.code))];
      continue;
    }
    ++report.num_ok;
    if (IsGood(outcome, level)) ++report.num_good;
    whole.push_back(absl::ToDoubleMilliseconds(outcome.whole));
    if (outcome.generated_tokens == 0) continue;
    first_token.push_back(absl::ToDoubleMilliseconds(outcome.first_token));
    for (const absl::Duration gap : outcome.gaps) {
      inter_token.push_back(absl::ToDoubleMilliseconds(gap));
    }
  }
  report.first_token = Of(first_token);
  report.inter_token = Of(inter_token);
  report.whole = Of(whole);
  return report;
}

std::string ToTable(const BenchReport& report) {
  std::string out = absl::StrFormat(
      "%d of %d requests ended well in %.2f s: %.2f requests/s, %.1f tokens/s (%d generated, %d of "
      "prompts)\n",
      report.num_ok, report.num_streams, report.seconds, report.streams_per_second(),
      report.tokens_per_second(), report.generated_tokens, report.prompt_tokens);
  out += absl::StrFormat("goodput %.2f requests/s: %d of %d within the service level\n",
                         report.goodput(), report.num_good, report.num_streams);
  out += absl::StrFormat("%-22s %10s %10s %10s\n", "milliseconds", "p50", "p90", "p99");
  out += Row("time to first token", report.first_token);
  out += Row("inter-token", report.inter_token);
  out += Row("end to end", report.whole);
  for (const auto& [code, count] : report.errors) {
    out += absl::StrFormat("error %-16s %d\n", code, count);
  }
  return out;
}

std::string ToJson(const BenchReport& report) {
  const nlohmann::json json = {{"seconds", report.seconds},
                               {"requests", report.num_streams},
                               {"ok", report.num_ok},
                               {"good", report.num_good},
                               {"errors", report.errors},
                               {"prompt_tokens", report.prompt_tokens},
                               {"generated_tokens", report.generated_tokens},
                               {"requests_per_second", report.streams_per_second()},
                               {"tokens_per_second", report.tokens_per_second()},
                               {"goodput_requests_per_second", report.goodput()},
                               {"ttft_ms", ToJson(report.first_token)},
                               {"itl_ms", ToJson(report.inter_token)},
                               {"e2e_ms", ToJson(report.whole)}};
  return json.dump();
}

}  // namespace spearfish::server::cli
