// tests/data/routing.json: parameters of the routing process for real models, and what was
// published or computed about their hit rates.
#ifndef TESTS_BENCH_ROUTING_FILE_H_
#define TESTS_BENCH_ROUTING_FILE_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/bench/routing_model.h"

namespace spearfish::bench {

struct KnownRouting {
  RoutingParams params;
  std::map<std::string, std::vector<double>> curves;  // policy -> [resident_fractions]
  std::map<std::string, double> published;            // "policy@percent" -> held-out hit rate
};

struct RoutingFile {
  std::vector<double> resident_fractions;
  std::map<std::string, KnownRouting> models;

  // The curve's value at a resident fraction, between two points linearly; negative when there is
  // no such curve.
  double CurveAt(const KnownRouting& model, const std::string& policy, double fraction) const;
};

absl::StatusOr<RoutingFile> ReadRoutingFile(const std::string& path);

}  // namespace spearfish::bench

#endif  // TESTS_BENCH_ROUTING_FILE_H_
