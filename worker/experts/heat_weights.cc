#include "worker/experts/heat_weights.h"

#include <algorithm>
#include <cmath>

namespace spearfish::worker {
namespace {

// What three models' routing settles near (tests/bench/RESULTS.md).
constexpr HorizonValues kPrior = {0.2F, 0.1F, 0.2F, 0.5F};
constexpr double kPriorExamples = 2000;
constexpr double kForgetPerStep = 0.998;
// Coordinate descent on four weights, from the last solution: converged long before.
constexpr int kSweeps = 30;
// Keeps a weight finite whose horizon saw nothing for very long.
constexpr double kTiny = 1e-100;

}  // namespace

HeatWeights::HeatWeights() : weights_(kPrior) {
  for (size_t j = 0; j < kNumHorizons; ++j) {
    squares_[j][j] = kPriorExamples;
    products_[j] = kPriorExamples * static_cast<double>(kPrior[j]);
  }
}

void HeatWeights::AddExample(const HorizonValues& averages, float came_after) {
  for (size_t j = 0; j < kNumHorizons; ++j) {
    const auto x = static_cast<double>(averages[j]);
    for (size_t k = 0; k < kNumHorizons; ++k) {
      squares_[j][k] += x * static_cast<double>(averages[k]);
    }
    products_[j] += x * static_cast<double>(came_after);
  }
}

void HeatWeights::Learn(size_t steps) {
  std::array<double, kNumHorizons> solution;
  std::copy(weights_.begin(), weights_.end(), solution.begin());
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    for (size_t j = 0; j < kNumHorizons; ++j) {
      double residual = products_[j];
      for (size_t k = 0; k < kNumHorizons; ++k) {
        if (k != j) residual -= squares_[j][k] * solution[k];
      }
      solution[j] = std::max(0.0, residual / std::max(squares_[j][j], kTiny));
    }
  }
  std::transform(solution.begin(), solution.end(), weights_.begin(),
                 [](double weight) { return static_cast<float>(weight); });
  const double keep = std::pow(kForgetPerStep, static_cast<double>(steps));
  for (auto& row : squares_) {
    for (double& square : row) square *= keep;
  }
  for (double& product : products_) product *= keep;
}

}  // namespace spearfish::worker
