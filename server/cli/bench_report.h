// What a load test showed. Pure.
#ifndef SERVER_CLI_BENCH_REPORT_H_
#define SERVER_CLI_BENCH_REPORT_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/cli/load_generator.h"

namespace spearfish::server::cli {

// What a stream must keep to be good.
struct ServiceLevel {
  std::optional<absl::Duration> first_token;
  std::optional<absl::Duration> inter_token;  // its mean over the stream
};

struct Percentiles {
  double p50_ms = 0;
  double p90_ms = 0;
  double p99_ms = 0;
};

struct BenchReport {
  double seconds = 0;
  uint64_t num_streams = 0;
  uint64_t num_ok = 0;
  uint64_t num_good = 0;                   // ok and within the service level
  std::map<std::string, uint64_t> errors;  // by the status code's name
  uint64_t prompt_tokens = 0;
  uint64_t generated_tokens = 0;
  // Of the streams that ended well.
  Percentiles first_token;
  Percentiles inter_token;
  Percentiles whole;

  double tokens_per_second() const { return PerSecond(generated_tokens); }
  double streams_per_second() const { return PerSecond(num_ok); }
  double goodput() const { return PerSecond(num_good); }

 private:
  double PerSecond(uint64_t count) const {
    return seconds > 0 ? static_cast<double>(count) / seconds : 0;
  }
};

// Nearest rank: the smallest value that `share` of all do not exceed. 0 of none.
double Percentile(std::vector<double>& values, double share);

BenchReport Summarize(const std::vector<StreamOutcome>& outcomes, absl::Duration took,
                      const ServiceLevel& level);

std::string ToTable(const BenchReport& report);
std::string ToJson(const BenchReport& report);

}  // namespace spearfish::server::cli

#endif  // SERVER_CLI_BENCH_REPORT_H_
