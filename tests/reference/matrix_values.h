// Reads the operands of the oracles one element at a time.
#ifndef TESTS_REFERENCE_MATRIX_VALUES_H_
#define TESTS_REFERENCE_MATRIX_VALUES_H_

#include <cstddef>

#include "kernels/api/kernels.h"

namespace spearfish::reference {

// W[row, col], widened exactly (of I8: the product with its scale).
double MatrixValue(const kernels::Matrix& matrix, size_t row, size_t col);

// Element `index` of a float32 activation array.
inline double Activation(const void* array, size_t index) {
  return static_cast<const float*>(array)[index];
}

}  // namespace spearfish::reference

#endif  // TESTS_REFERENCE_MATRIX_VALUES_H_
