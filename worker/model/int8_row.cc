#include "worker/model/int8_row.h"

#include <algorithm>
#include <cmath>

namespace spearfish::worker {
namespace {

constexpr float kMost = 127.0f;
// Adding 1.5 * 2^23 leaves no bit for a fraction, so the sum is rounded, half to even; compilers
// make vectors of it, of std::nearbyint they don't without SSE4.1.
constexpr float kRounder = 12582912.0f;

}  // namespace

float QuantizeInt8Row(std::span<const float> row, int8_t* out) {
  float largest = 0.0f;
  for (const float w : row) largest = std::max(largest, std::abs(w));
  const float scale = largest / kMost;
  if (scale == 0.0f) {
    std::fill_n(out, row.size(), int8_t{0});
    return 0.0f;
  }
  for (size_t i = 0; i < row.size(); ++i) {
    // Below the normal numbers the quotient can be far off, hence the bounds.
    const float q = std::clamp(row[i] / scale, -kMost, kMost);
    out[i] = static_cast<int8_t>(static_cast<int32_t>((q + kRounder) - kRounder));
  }
  return scale;
}

}  // namespace spearfish::worker
