// A figure for monitoring, as it stands when somebody asks.
#ifndef COMMON_METRICS_METRIC_H_
#define COMMON_METRICS_METRIC_H_

#include <string>
#include <utility>
#include <vector>

#include "common/metrics/histogram.h"

namespace spearfish {

enum class MetricType {
  kCounter,  // only grows while the process lives; its name ends in _total
  kGauge,
  kHistogram,
};

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

struct MetricSample {
  MetricLabels labels;
  double value = 0;
  HistogramValue histogram = {};  // in place of the value, of a histogram
};

// All samples of one name. Units stand in the name: _bytes, _seconds, _ratio.
struct Metric {
  std::string name;
  std::string help;
  MetricType type = MetricType::kGauge;
  std::vector<MetricSample> samples = {};
};

}  // namespace spearfish

#endif  // COMMON_METRICS_METRIC_H_
