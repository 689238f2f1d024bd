// Symmetric INT8 with one scale for a row of weights.
#ifndef WORKER_MODEL_INT8_ROW_H_
#define WORKER_MODEL_INT8_ROW_H_

#include <cstdint>
#include <span>

namespace spearfish::worker {

// Writes a row of a kernels::Matrix of I8 by that type's rule, in float32: the scale max|w| / 127,
// which is returned, and q = w / scale, rounded half to even, to `out` (as long as `row`). All
// weights are finite. A function of the row alone: the same bits on every machine.
float QuantizeInt8Row(std::span<const float> row, int8_t* out);

}  // namespace spearfish::worker

#endif  // WORKER_MODEL_INT8_ROW_H_
