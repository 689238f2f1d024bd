// Symmetric group quantisation of weights (design.md section 4).
//
//   q = clamp(round_half_even(w / s), -z, z - 1), stored as q + z, dequantised as q * s
//   z = 8 (INT4) or 128 (INT8); s is a bfloat16, one for each group of consecutive inputs
//
// kAbsmax: s = bf16(max|w| / (z - 1)).
// kMse: the s with the least sum of (w - q * s)^2 among bf16(+-max|w| / d) for a fixed grid of d,
//   of which d = z - 1 (absmax's) is the first; a tie goes to the earlier candidate. A negative s
//   lets the largest weight use the extra code at -z.
// A group of zeros gets s = 1 and q = 0. |s| is kept between 2^-126 (below are subnormals, whose
// reciprocal overflows) and the largest value whose product with z is finite.
#ifndef COMMON_EXPERT_CACHE_QUANTIZER_H_
#define COMMON_EXPERT_CACHE_QUANTIZER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "common/base/bfloat16.h"
#include "common/expert_cache/record_layout.h"

namespace spearfish {

// What is stored for q = 0.
constexpr int32_t ZeroPoint(uint32_t bits) { return bits == 4 ? 8 : 128; }

// Quantises consecutive groups: `weights` and `codes` [num_groups, group], `scales` [num_groups];
// group is a multiple of 16. The result is the same on every CPU, whichever SIMD it has. Returns
// the index of the first weight that is NaN or infinite, after which the outputs are unspecified.
std::optional<size_t> QuantizeGroups(std::span<const float> weights, uint32_t group,
                                     const QuantOptions& options, std::span<uint8_t> codes,
                                     std::span<BFloat16> scales);

inline float Dequantize(uint8_t code, uint32_t bits, BFloat16 scale) {
  return static_cast<float>(static_cast<int32_t>(code) - ZeroPoint(bits)) * ToFloat(scale);
}

}  // namespace spearfish

#endif  // COMMON_EXPERT_CACHE_QUANTIZER_H_
