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

constexpr int kNumThreads = 1;  // scrapes are rare and short

prometheus::ClientMetric Convert(const MetricSample& sample, MetricType type) {
  prometheus::ClientMetric out;
  for (const auto& [name, value] : sample.labels) out.label.push_back({name, value});
  if (type == MetricType::kCounter) {
    out.counter.value = sample.value;
  } else {
    out.gauge.value = sample.value;
  }
  return out;
}

prometheus::MetricFamily Convert(const Metric& metric) {
  prometheus::MetricFamily out;
  out.name = metric.name;
  out.help = metric.help;
  out.type = metric.type == MetricType::kCounter ? prometheus::MetricType::Counter
                                                 : prometheus::MetricType::Gauge;
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
