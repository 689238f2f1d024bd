#include "tests/reference/matrix_values.h"

#include "common/base/bfloat16.h"
#include "common/base/check.h"

namespace spearfish::reference {

double MatrixValue(const kernels::Matrix& matrix, size_t row, size_t col) {
  const size_t index = row * matrix.cols + col;
  if (matrix.dtype == DType::kBF16) {
    return ToFloat(static_cast<const BFloat16*>(matrix.data)[index]);
  }
  if (matrix.dtype == DType::kI8) {
    const int q = static_cast<const int8_t*>(matrix.data)[index];
    return q * double{matrix.scales[row]};
  }
  SF_CHECK(matrix.dtype == DType::kF32);
  return static_cast<const float*>(matrix.data)[index];
}

}  // namespace spearfish::reference
