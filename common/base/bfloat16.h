// bfloat16 and IEEE half as storage types with exact widening and round-to-nearest-even narrowing.
// Plain C++17: CUDA translation units include it.
#ifndef COMMON_BASE_BFLOAT16_H_
#define COMMON_BASE_BFLOAT16_H_

#include <cmath>
#include <cstdint>
#include <cstring>

namespace spearfish {

struct BFloat16 {
  uint16_t bits;
};
static_assert(sizeof(BFloat16) == 2);

struct Float16 {
  uint16_t bits;
};
static_assert(sizeof(Float16) == 2);

inline float ToFloat(BFloat16 value) {
  const uint32_t wide = static_cast<uint32_t>(value.bits) << 16;
  float out;
  std::memcpy(&out, &wide, sizeof(out));
  return out;
}

// Round to nearest, ties to even; NaN stays a quiet NaN.
inline BFloat16 ToBFloat16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  if ((bits & 0x7fffffffu) > 0x7f800000u) {
    return BFloat16{static_cast<uint16_t>((bits >> 16) | 0x0040u)};
  }
  const uint32_t rounding = 0x7fffu + ((bits >> 16) & 1u);
  return BFloat16{static_cast<uint16_t>((bits + rounding) >> 16)};
}

inline float ToFloat(Float16 value) {
  const uint32_t sign = static_cast<uint32_t>(value.bits & 0x8000u) << 16;
  const uint32_t exponent = (value.bits >> 10) & 0x1fu;
  const uint32_t mantissa = value.bits & 0x3ffu;
  if (exponent == 0) {
    const float magnitude = std::ldexp(static_cast<float>(mantissa), -24);
    return sign != 0 ? -magnitude : magnitude;
  }
  const uint32_t wide_exponent = exponent == 0x1fu ? 0xffu : exponent + 112u;
  const uint32_t wide = sign | (wide_exponent << 23) | (mantissa << 13);
  float out;
  std::memcpy(&out, &wide, sizeof(out));
  return out;
}

}  // namespace spearfish

#endif  // COMMON_BASE_BFLOAT16_H_
