// Float64 oracles of the operations that treat each row by itself. They read host memory with
// float32 activations, write nothing, and follow kernels/api/kernels.h word by word.
#ifndef TESTS_REFERENCE_ROW_OPERATIONS_H_
#define TESTS_REFERENCE_ROW_OPERATIONS_H_

#include <vector>

#include "kernels/api/kernels.h"

namespace spearfish::reference {

// [num_rows, cols]
std::vector<double> Embed(const kernels::EmbedArgs& args);

struct RmsNormResult {
  std::vector<double> residual;  // [num_rows, dim]; x itself when there is no residual
  std::vector<double> out;       // [num_rows, dim]
};
RmsNormResult RmsNorm(const kernels::RmsNormArgs& args);

// [num_rows, dim]
std::vector<double> SiluMul(const kernels::SiluMulArgs& args);
std::vector<double> GatherRows(const kernels::GatherRowsArgs& args);

}  // namespace spearfish::reference

#endif  // TESTS_REFERENCE_ROW_OPERATIONS_H_
