#include "common/metrics/histogram.h"

#include <algorithm>
#include <cstddef>
#include <numeric>

#include "common/base/check.h"

namespace spearfish {

uint64_t HistogramValue::count() const {
  return std::accumulate(counts.begin(), counts.end(), uint64_t{0});
}

HistogramValue HistogramValue::Coarsened(std::span<const double> wider) const {
  HistogramValue out{.bounds = {wider.begin(), wider.end()},
                     .counts = std::vector<uint64_t>(wider.size() + 1),
                     .sum = sum};
  size_t to = 0;
  for (size_t from = 0; from < bounds.size(); ++from) {
    out.counts[to] += counts[from];
    if (to < wider.size() && bounds[from] == wider[to]) ++to;
  }
  SF_CHECK(to == wider.size());
  out.counts.back() += counts.back();
  return out;
}

Histogram::Histogram(std::span<const double> bounds)
    : bounds_(bounds), counts_(std::make_unique<std::atomic<uint64_t>[]>(bounds.size() + 1)) {
  SF_CHECK(std::is_sorted(bounds.begin(), bounds.end()));
}

void Histogram::Observe(double value, uint64_t times) {
  value = std::max(value, 0.0);
  const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  counts_[static_cast<size_t>(bucket)].fetch_add(times, std::memory_order_relaxed);
  sum_.fetch_add(value * static_cast<double>(times), std::memory_order_relaxed);
}

HistogramValue Histogram::value() const {
  HistogramValue out{.bounds = {bounds_.begin(), bounds_.end()}, .counts = {}, .sum = sum_.load()};
  out.counts.reserve(bounds_.size() + 1);
  for (size_t i = 0; i <= bounds_.size(); ++i) {
    out.counts.push_back(counts_[i].load(std::memory_order_relaxed));
  }
  return out;
}

}  // namespace spearfish
