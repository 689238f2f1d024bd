#include "tests/bench/policy_baselines.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace spearfish::bench {
namespace {

uint32_t LayerCapacity(const RoutingTrace& trace, const SimulationOptions& options) {
  return static_cast<uint32_t>(std::lround(options.resident_fraction * trace.num_experts));
}

std::span<const uint16_t> LayerIds(const RoutingTrace& trace, size_t t, uint32_t layer) {
  return trace.token(t).subspan(size_t{layer} * trace.top_k, trace.top_k);
}

// Runs `layer_policy` (made anew for each layer) over the trace: IsResident(expert), and
// Route(ids), which answers how many it promoted.
template <typename MakePolicy>
PolicyResult Simulate(const RoutingTrace& trace, const SimulationOptions& options,
                      const MakePolicy& make_policy) {
  PolicyResult result;
  for (uint32_t layer = 0; layer < trace.num_layers; ++layer) {
    auto policy = make_policy(layer);
    for (size_t t = 0; t < trace.num_tokens(); ++t) {
      const auto ids = LayerIds(trace, t, layer);
      const auto hits = static_cast<uint64_t>(std::count_if(
          ids.begin(), ids.end(), [&policy](uint16_t id) { return policy.IsResident(id); }));
      const uint64_t promotions = policy.Route(ids);
      if (t < options.first_counted) continue;
      result.activations += ids.size();
      result.hits += hits;
      result.promotions += promotions;
      result.layer_tokens += 1;
    }
  }
  return result;
}

class StaticLayer {
 public:
  StaticLayer(std::span<const uint32_t> counts, uint32_t capacity)
      : resident_(counts.size(), false) {
    std::vector<uint32_t> order(counts.size());
    std::iota(order.begin(), order.end(), 0U);
    std::stable_sort(order.begin(), order.end(),
                     [counts](uint32_t a, uint32_t b) { return counts[a] > counts[b]; });
    for (uint32_t i = 0; i < capacity; ++i) resident_[order[i]] = true;
  }
  bool IsResident(uint16_t expert) const { return resident_[expert]; }
  uint64_t Route(std::span<const uint16_t> /*ids*/) { return 0; }

 private:
  std::vector<bool> resident_;
};

class LruLayer {
 public:
  explicit LruLayer(uint32_t capacity) : capacity_(capacity) {}
  bool IsResident(uint16_t expert) const {
    return std::find(recent_.begin(), recent_.end(), expert) != recent_.end();
  }
  uint64_t Route(std::span<const uint16_t> ids) {
    uint64_t misses = 0;
    for (const uint16_t id : ids) {
      const auto found = std::find(recent_.begin(), recent_.end(), id);
      if (found == recent_.end()) {
        misses += 1;
        recent_.insert(recent_.begin(), id);
      } else {
        std::rotate(recent_.begin(), found, found + 1);
      }
    }
    if (recent_.size() > capacity_) recent_.resize(capacity_);
    return misses;
  }

 private:
  const uint32_t capacity_;
  std::vector<uint16_t> recent_;  // most recent first
};

class LfuLayer {
 public:
  LfuLayer(uint32_t num_experts, uint32_t capacity, const LfuOptions& options)
      : options_(options), count_(num_experts, 0), resident_(num_experts, false) {
    std::fill_n(resident_.begin(), capacity, true);
  }
  bool IsResident(uint16_t expert) const { return resident_[expert]; }
  uint64_t Route(std::span<const uint16_t> ids) {
    for (double& count : count_) count *= options_.decay;
    for (const uint16_t id : ids) count_[id] += 1;
    earned_ = std::min(earned_ + options_.max_promotions, 4 * options_.max_promotions);
    std::vector<uint16_t> misses;
    std::copy_if(ids.begin(), ids.end(), std::back_inserter(misses),
                 [this](uint16_t id) { return !resident_[id]; });
    std::sort(misses.begin(), misses.end(),
              [this](uint16_t a, uint16_t b) { return count_[a] > count_[b]; });
    uint64_t promotions = 0;
    for (const uint16_t id : misses) {
      const uint16_t coldest = ColdestResident();
      if (earned_ < 1 || count_[id] <= count_[coldest]) break;
      resident_[coldest] = false;
      resident_[id] = true;
      earned_ -= 1;
      promotions += 1;
    }
    return promotions;
  }

 private:
  uint16_t ColdestResident() const {
    size_t coldest = count_.size();
    for (size_t i = 0; i < count_.size(); ++i) {
      if (resident_[i] && (coldest == count_.size() || count_[i] < count_[coldest])) coldest = i;
    }
    return static_cast<uint16_t>(coldest);
  }

  const LfuOptions options_;
  std::vector<double> count_;
  std::vector<bool> resident_;
  double earned_ = 0;
};

}  // namespace

PolicyResult SimulateStatic(const RoutingTrace& trace, const SimulationOptions& options,
                            std::span<const uint32_t> counts) {
  const uint32_t capacity = LayerCapacity(trace, options);
  return Simulate(trace, options, [&](uint32_t layer) {
    return StaticLayer(counts.subspan(size_t{layer} * trace.num_experts, trace.num_experts),
                       capacity);
  });
}

PolicyResult SimulateLru(const RoutingTrace& trace, const SimulationOptions& options) {
  const uint32_t capacity = LayerCapacity(trace, options);
  return Simulate(trace, options, [&](uint32_t /*layer*/) { return LruLayer(capacity); });
}

PolicyResult SimulateLfu(const RoutingTrace& trace, const SimulationOptions& options,
                         const LfuOptions& lfu) {
  const uint32_t capacity = LayerCapacity(trace, options);
  return Simulate(trace, options,
                  [&](uint32_t /*layer*/) { return LfuLayer(trace.num_experts, capacity, lfu); });
}

}  // namespace spearfish::bench
