// How a measured value is distributed, for monitoring.
#ifndef COMMON_METRICS_HISTOGRAM_H_
#define COMMON_METRICS_HISTOGRAM_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/time/time.h"

namespace spearfish {

// As it stands when somebody asks.
struct HistogramValue {
  std::vector<double> bounds;    // of the buckets, upper and inclusive, ascending
  std::vector<uint64_t> counts;  // [bounds + 1] in each bucket alone; the last: above all bounds
  double sum = 0;

  uint64_t count() const;
  // The same values in wider buckets. Every one of `wider` is among the bounds.
  HistogramValue Coarsened(std::span<const double> wider) const;
};

// Observe may be called from any thread: no lock, no allocation, one addition to a bucket and one
// to the sum. A value() taken meanwhile may have one of the two without the other, never half of
// one.
class Histogram {
 public:
  // Ascending; must outlive it.
  explicit Histogram(std::span<const double> bounds);

  // `times` values at once. Negative ones count as 0: a clock was set back.
  void Observe(double value, uint64_t times = 1);
  void Observe(absl::Duration value, uint64_t times = 1) {
    Observe(absl::ToDoubleSeconds(value), times);
  }

  HistogramValue value() const;

 private:
  const std::span<const double> bounds_;
  const std::unique_ptr<std::atomic<uint64_t>[]> counts_;  // [bounds + 1]
  std::atomic<double> sum_ = 0;
};

}  // namespace spearfish

#endif  // COMMON_METRICS_HISTOGRAM_H_
