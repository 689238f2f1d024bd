#include "kernels/cpu/token_draw.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "kernels/cpu/vocab_scan.h"

namespace spearfish::kernels {
namespace {

// Band widths in units of temperature below the largest logit: exp(-8) = 3e-4 of the largest
// probability holds the filters' prefix for almost every row of a language model.
constexpr float kBandWidths[] = {8.0f, 16.0f, 32.0f, std::numeric_limits<float>::infinity()};

class Drawing {
 public:
  Drawing(std::span<const float> logits, const SampleRow& row, double u, float max, uint32_t* ids)
      : logits_(logits),
        row_(row),
        u_(u),
        max_(max),
        top_k_(row.top_k == 0 ? logits.size() : std::min<size_t>(row.top_k, logits.size())),
        ids_(ids) {}

  // The token, or nullopt when the band does not decide it.
  std::optional<uint32_t> TryBand(float width) {
    const float bound =
        std::max(max_ - width * row_.temperature, std::numeric_limits<float>::lowest());
    const bool is_last = std::isinf(width);
    const size_t collected = CollectAtLeast(logits_, bound, ids_);
    const size_t num_sorted = std::min(collected, top_k_);
    ends_here_ = is_last || collected >= top_k_;
    if (has_top_k() && !ends_here_) return std::nullopt;
    SortFirst(num_sorted, collected);
    if (!has_top_k() && !has_cut()) return DrawFromAll(num_sorted, is_last);
    const std::optional<Prefix> kept = FindKept(num_sorted);
    if (!kept.has_value()) return std::nullopt;
    return DrawFrom(*kept);
  }

 private:
  struct Prefix {
    size_t size;
    double mass;
  };

  bool has_top_k() const { return top_k_ < logits_.size(); }
  bool has_cut() const { return row_.top_p < 1.0f || row_.min_p > 0.0f; }

  // exp(-distance / temperature): the probability relative to the largest.
  double Weight(size_t rank) const {
    return std::exp((static_cast<double>(logits_[ids_[rank]]) - max_) / row_.temperature);
  }

  void SortFirst(size_t num_sorted, size_t collected) {
    const auto before = [this](uint32_t a, uint32_t b) {
      return logits_[a] != logits_[b] ? logits_[a] > logits_[b] : a < b;
    };
    if (num_sorted < collected) {
      std::nth_element(ids_, ids_ + num_sorted, ids_ + collected, before);
    }
    std::sort(ids_, ids_ + num_sorted, before);
  }

  double TotalMass() {
    if (!total_mass_.has_value()) total_mass_ = SumExp(logits_, max_, row_.temperature);
    return *total_mass_;
  }

  // What top-p's share refers to: everything, or what top-k left.
  double MassBeforeTopP(size_t num_sorted) {
    if (!has_top_k()) return TotalMass();
    double mass = 0.0;
    for (size_t i = 0; i < num_sorted; ++i) mass += Weight(i);
    return mass;
  }

  // The prefix that the filters keep; the most likely token always is in it.
  std::optional<Prefix> FindKept(size_t num_sorted) {
    const double enough = row_.top_p < 1.0f ? row_.top_p * MassBeforeTopP(num_sorted)
                                            : std::numeric_limits<double>::infinity();
    double mass = 0.0;
    for (size_t i = 0; i < num_sorted; ++i) {
      const double weight = Weight(i);
      if (i > 0 && (weight < row_.min_p || mass >= enough)) return Prefix{i, mass};
      mass += weight;
    }
    if (ends_here_ || mass >= enough) return Prefix{num_sorted, mass};
    return std::nullopt;
  }

  uint32_t DrawFrom(Prefix kept) const {
    const double target = u_ * kept.mass;
    double mass = 0.0;
    for (size_t i = 0; i < kept.size; ++i) {
      mass += Weight(i);
      if (mass > target) return ids_[i];
    }
    return ids_[kept.size - 1];
  }

  // No filter: the draw may be decided before the last candidate is known.
  std::optional<uint32_t> DrawFromAll(size_t num_sorted, bool is_last) {
    const double target = u_ * TotalMass();
    double mass = 0.0;
    for (size_t i = 0; i < num_sorted; ++i) {
      mass += Weight(i);
      if (mass > target) return ids_[i];
    }
    // The two sums were rounded in different orders: u was within 1e-12 of 1.
    if (is_last) return ids_[num_sorted - 1];
    return std::nullopt;
  }

  const std::span<const float> logits_;
  const SampleRow& row_;
  const double u_;
  const float max_;
  const size_t top_k_;
  uint32_t* const ids_;
  bool ends_here_ = false;  // the band holds all that top-k leaves
  std::optional<double> total_mass_;
};

}  // namespace

uint32_t DrawToken(std::span<const float> logits, const SampleRow& row, double u, uint32_t* ids) {
  const float max = LargestFinite(logits);
  if (std::isinf(max)) return 0;
  Drawing drawing(logits, row, u, max, ids);
  for (const float width : kBandWidths) {
    if (const std::optional<uint32_t> token = drawing.TryBand(width)) return *token;
  }
  return ids[0];  // not reached: the last band is unbounded
}

}  // namespace spearfish::kernels
