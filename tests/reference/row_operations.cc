#include "tests/reference/row_operations.h"

#include <cmath>

#include "tests/reference/matrix_values.h"

namespace spearfish::reference {

std::vector<double> Embed(const kernels::EmbedArgs& args) {
  std::vector<double> out;
  for (size_t t = 0; t < args.num_rows; ++t) {
    for (size_t i = 0; i < args.table.cols; ++i) {
      out.push_back(MatrixValue(args.table, static_cast<size_t>(args.ids[t]), i));
    }
  }
  return out;
}

RmsNormResult RmsNorm(const kernels::RmsNormArgs& args) {
  RmsNormResult result;
  for (size_t t = 0; t < args.num_rows; ++t) {
    std::vector<double> v(args.dim);
    double sum = 0.0;
    for (size_t i = 0; i < args.dim; ++i) {
      v[i] = Activation(args.x, t * args.dim + i);
      if (args.residual != nullptr) v[i] += Activation(args.residual, t * args.dim + i);
      sum += v[i] * v[i];
    }
    const double factor = 1.0 / std::sqrt(sum / args.dim + static_cast<double>(args.eps));
    for (size_t i = 0; i < args.dim; ++i) {
      result.residual.push_back(v[i]);
      result.out.push_back(v[i] * factor * static_cast<double>(args.weight[i]));
    }
  }
  return result;
}

std::vector<double> SiluMul(const kernels::SiluMulArgs& args) {
  std::vector<double> out;
  for (size_t t = 0; t < args.num_rows; ++t) {
    for (size_t i = 0; i < args.dim; ++i) {
      const double gate = Activation(args.gate_up, t * 2 * args.dim + i);
      const double up = Activation(args.gate_up, t * 2 * args.dim + args.dim + i);
      out.push_back(gate / (1.0 + std::exp(-gate)) * up);
    }
  }
  return out;
}

std::vector<double> GatherRows(const kernels::GatherRowsArgs& args) {
  std::vector<double> out;
  for (size_t t = 0; t < args.num_rows; ++t) {
    for (size_t i = 0; i < args.dim; ++i) {
      out.push_back(Activation(args.x, static_cast<size_t>(args.rows[t]) * args.dim + i));
    }
  }
  return out;
}

}  // namespace spearfish::reference
