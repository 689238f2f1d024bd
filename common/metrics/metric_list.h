// Collects metrics in the order in which they are named.
#ifndef COMMON_METRICS_METRIC_LIST_H_
#define COMMON_METRICS_METRIC_LIST_H_

#include <string>
#include <utility>
#include <vector>

#include "common/metrics/metric.h"

namespace spearfish {

// A value, filled by whoever answers a scrape.
class MetricList {
 public:
  MetricList() = default;
  // `common` are the first labels of every sample.
  explicit MetricList(MetricLabels common) : common_(std::move(common)) {}

  template <typename Value>
  void Gauge(std::string name, std::string help, Value value) {
    Add(std::move(name), std::move(help), MetricType::kGauge);
    Sample({}, value);
  }
  template <typename Value>
  void Counter(std::string name, std::string help, Value value) {
    Add(std::move(name), std::move(help), MetricType::kCounter);
    Sample({}, value);
  }
  void Histogram(std::string name, std::string help, HistogramValue value) {
    Add(std::move(name), std::move(help), MetricType::kHistogram);
    metrics_.back().samples.push_back({.labels = common_, .histogram = std::move(value)});
  }

  // One without samples yet; Sample adds to the last one.
  void Add(std::string name, std::string help, MetricType type) {
    metrics_.push_back({.name = std::move(name), .help = std::move(help), .type = type});
  }
  template <typename Value>
  void Sample(const MetricLabels& labels, Value value) {
    MetricLabels all = common_;
    all.insert(all.end(), labels.begin(), labels.end());
    metrics_.back().samples.push_back(
        {.labels = std::move(all), .value = static_cast<double>(value)});
  }

  std::vector<Metric> Take() { return std::move(metrics_); }

 private:
  MetricLabels common_;
  std::vector<Metric> metrics_;
};

}  // namespace spearfish

#endif  // COMMON_METRICS_METRIC_LIST_H_
