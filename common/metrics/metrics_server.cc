#include "common/metrics/metrics_server.h"

#include <prometheus/collectable.h>
#include <prometheus/exposer.h>
#include <prometheus/metric_family.h>

#include <exception>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace spearfish {
namespace {

constexpr int kNumThreads = 2;  // scrapes are short, but an idle connection holds a thread up

prometheus::ClientMetric::Histogram Convert(const HistogramValue& value) {
  prometheus::ClientMetric::Histogram out;
  for (size_t i = 0; i < value.bounds.size(); ++i) {
    out.sample_count += value.counts[i];
    out.bucket.push_back({out.sample_count, value.bounds[i]});
  }
  // Also the bucket up to infinity, which the exposition adds by itself.
  out.sample_count += value.counts.back();
  out.sample_sum = value.sum;
  return out;
}

prometheus::ClientMetric Convert(const MetricSample& sample, MetricType type) {
  prometheus::ClientMetric out;
  for (const auto& [name, value] : sample.labels) out.label.push_back({name, value});
  switch (type) {
    case MetricType::kCounter:
      out.counter.value = sample.value;
      break;
    case MetricType::kGauge:
      out.gauge.value = sample.value;
      break;
    case MetricType::kHistogram:
      out.histogram = Convert(sample.histogram);
      break;
  }
  return out;
}

prometheus::MetricType Convert(MetricType type) {
  switch (type) {
    case MetricType::kCounter:
      return prometheus::MetricType::Counter;
    case MetricType::kGauge:
      return prometheus::MetricType::Gauge;
    case MetricType::kHistogram:
      return prometheus::MetricType::Histogram;
  }
  return prometheus::MetricType::Untyped;
}

prometheus::MetricFamily Convert(const Metric& metric) {
  prometheus::MetricFamily out;
  out.name = metric.name;
  out.help = metric.help;
  out.type = Convert(metric.type);
  for (const MetricSample& sample : metric.samples) {
    out.metric.push_back(Convert(sample, metric.type));
  }
  return out;
}

class Collector : public prometheus::Collectable {
 public:
  explicit Collector(MetricsServer::Collect collect) : collect_(std::move(collect)) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    std::vector<prometheus::MetricFamily> families;
    for (const Metric& metric : collect_()) families.push_back(Convert(metric));
    return families;
  }

 private:
  const MetricsServer::Collect collect_;
};

}  // namespace

// The exposer holds the collector weakly.
struct MetricsServer::Parts {
  std::shared_ptr<Collector> collector;
  std::unique_ptr<prometheus::Exposer> exposer;
};

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(const std::string& listen,
                                                                    Collect collect) {
  auto parts = std::make_unique<Parts>();
  parts->collector = std::make_shared<Collector>(std::move(collect));
  try {
    parts->exposer = std::make_unique<prometheus::Exposer>(listen, kNumThreads);
  } catch (const std::exception& error) {
    return absl::UnavailableError(absl::StrCat("cannot serve metrics on ", listen, ": ",
                                               error.what(), "; choose another --metrics-port"));
  }
  parts->exposer->RegisterCollectable(parts->collector);
  return absl::WrapUnique(new MetricsServer(std::move(parts)));
}

MetricsServer::MetricsServer(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

MetricsServer::~MetricsServer() = default;

uint16_t MetricsServer::port() const {
  return static_cast<uint16_t>(parts_->exposer->GetListeningPorts().front());
}

}  // namespace spearfish
