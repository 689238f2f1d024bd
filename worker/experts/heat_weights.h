// How much each average of the past is worth for predicting the next tokens; learned while serving.
#ifndef WORKER_EXPERTS_HEAT_WEIGHTS_H_
#define WORKER_EXPERTS_HEAT_WEIGHTS_H_

#include <array>
#include <cstddef>
#include <span>

namespace spearfish::worker {

// A record's activations are averaged over this many horizons, from a few tokens to thousands.
inline constexpr size_t kNumHorizons = 4;
using HorizonValues = std::array<float, kNumHorizons>;

// Weights w >= 0 that minimise the squared error of sum_j w_j x_j against what came after, over
// examples that are forgotten slowly. Starts from a prior that some thousand examples outvote.
class HeatWeights {
 public:
  HeatWeights();

  // One record's averages, and its mean activation over the tokens after.
  void AddExample(const HorizonValues& averages, float came_after);
  // Takes the examples since the last call into account; `steps` is how long ago that was.
  void Learn(size_t steps);

  const HorizonValues& weights() const { return weights_; }

 private:
  std::array<std::array<double, kNumHorizons>, kNumHorizons> squares_{};  // sum of x x^T
  std::array<double, kNumHorizons> products_{};                           // sum of x y
  HorizonValues weights_;
};

}  // namespace spearfish::worker

#endif  // WORKER_EXPERTS_HEAT_WEIGHTS_H_
