// The vector steps of the CPU mixture of experts: quantise a row, run one slice of an expert for a
// few rows, add up the experts of a row. Called by moe.cc, from any thread.
#ifndef KERNELS_CPU_MOE_SLICE_H_
#define KERNELS_CPU_MOE_SLICE_H_

#include <cstdint>

#include "kernels/api/expert_layout.h"

namespace spearfish::kernels {

// The most rows one RunMoeSlice call takes; bounds its stack (about 45 KB).
inline constexpr uint32_t kMaxSliceRows = 32;

// A row of inputs as integers: x[i] ~ values[i] * scales[i / group].
// sums[4 * g + a] = sum over the 16-input tiles of group g of the inputs that lane a of a tile
// multiplies: 2a, 2a + 1, 2a + 8, 2a + 9. With it the weights' zero point leaves the inner loop.
struct QuantizedRow {
  int16_t* values;  // [inputs], 16-byte aligned
  int32_t* sums;    // [inputs / group, 4], 16-byte aligned
  float* scales;    // [inputs / group]
};

// scale = max|x| / 32767 and values = round(x / scale) per group; a group whose max|x| is below
// 1e-30 becomes zeros with scale 0. A NaN or an infinity makes its group's scale such.
// inputs is a multiple of group, group of 16.
void QuantizeMoeRow(const float* x, uint32_t inputs, uint32_t group, const QuantizedRow& out);

enum class SliceOutput { kStore, kAdd };

// One slice of one expert for num_rows <= kMaxSliceRows rows: outs[r] (+)= W2 (silu(W1 x) * (W3 x))
// over the slice's channels. outs[r] is [hidden] in tile order: within each 64 outputs, position
// 4c + j holds output 16j + c.
struct MoeSliceTask {
  const ExpertLayout* layout;
  const uint8_t* slice;      // 64-byte aligned
  const QuantizedRow* rows;  // [num_rows], quantised by layout->w13_group
  float* const* outs;        // [num_rows], 64-byte aligned
  uint32_t num_rows;
  SliceOutput output;
};
void RunMoeSlice(const MoeSliceTask& task);

// out[n] = sum_i weights[i] * (sum_s parts[i, s, n]), both in order, for num_outputs columns.
// parts in tile order, part (i, s) at parts + (i * num_parts + s) * part_stride; out in natural
// order. num_outputs is a multiple of 64.
struct MoeCombineTask {
  const float* parts;
  const float* weights;  // [k]
  float* out;
  uint64_t part_stride;
  uint32_t num_parts;
  uint32_t k;
  uint32_t num_outputs;
};
void CombineMoeRow(const MoeCombineTask& task);

}  // namespace spearfish::kernels

#endif  // KERNELS_CPU_MOE_SLICE_H_
