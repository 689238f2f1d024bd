#include "tests/reference/linear_reference.h"

#include <cstddef>

#include "tests/reference/matrix_values.h"

namespace spearfish::reference {
std::vector<double> Linear(const kernels::LinearArgs& args) {
  const size_t outputs = args.weight.rows;
  const size_t inputs = args.weight.cols;
  std::vector<double> out(args.num_rows * outputs);
  for (size_t t = 0; t < args.num_rows; ++t) {
    for (size_t n = 0; n < outputs; ++n) {
      double sum = args.bias == nullptr ? 0.0 : args.bias[n];
      for (size_t k = 0; k < inputs; ++k) {
        sum += Activation(args.x, t * inputs + k) * MatrixValue(args.weight, n, k);
      }
      out[t * outputs + n] = sum;
    }
  }
  return out;
}

}  // namespace spearfish::reference
