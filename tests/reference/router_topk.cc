#include "tests/reference/router_topk.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tests/reference/matrix_values.h"

namespace spearfish::reference {
namespace {

std::vector<double> Probabilities(const kernels::RouterTopkArgs& args, size_t row) {
  std::vector<double> p(args.gate.rows, 0.0);
  for (size_t e = 0; e < p.size(); ++e) {
    for (size_t i = 0; i < args.gate.cols; ++i) {
      p[e] += Activation(args.x, row * args.gate.cols + i) * MatrixValue(args.gate, e, i);
    }
  }
  const double max = *std::max_element(p.begin(), p.end());
  double sum = 0.0;
  for (double& value : p) sum += value = std::exp(value - max);
  for (double& value : p) value /= sum;
  return p;
}

}  // namespace

RouterTopkResult RouterTopk(const kernels::RouterTopkArgs& args) {
  RouterTopkResult result;
  for (size_t t = 0; t < args.num_rows; ++t) {
    const std::vector<double> p = Probabilities(args, t);
    std::vector<int32_t> order(p.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
      return p[static_cast<size_t>(a)] > p[static_cast<size_t>(b)];
    });
    double sum = 0.0;
    for (size_t i = 0; i < args.k; ++i) sum += p[static_cast<size_t>(order[i])];
    for (size_t i = 0; i < args.k; ++i) {
      result.ids.push_back(order[i]);
      result.weights.push_back(p[static_cast<size_t>(order[i])] / (args.normalize ? sum : 1.0));
    }
    result.probabilities.insert(result.probabilities.end(), p.begin(), p.end());
  }
  return result;
}

}  // namespace spearfish::reference
