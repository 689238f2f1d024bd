#include "common/base/bfloat16.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "tests/support/safetensors_writer.h"

namespace spearfish {
namespace {

// The value of a bit pattern, from the definition of the format in exact doubles.
double ValueOf(uint16_t bits, int exponent_bits) {
  const int mantissa_bits = 15 - exponent_bits;
  const int max_exponent = (1 << exponent_bits) - 1;
  const int bias = max_exponent / 2;
  const double sign = (bits & 0x8000) != 0 ? -1.0 : 1.0;
  const int exponent = (bits >> mantissa_bits) & max_exponent;
  const double mantissa = bits & ((1 << mantissa_bits) - 1);
  if (exponent == max_exponent) {
    return mantissa == 0 ? sign * std::numeric_limits<double>::infinity() : std::nan("");
  }
  const double leading = exponent == 0 ? 0.0 : std::ldexp(1.0, mantissa_bits);
  return sign * std::ldexp(leading + mantissa, std::max(exponent, 1) - bias - mantissa_bits);
}

void ExpectSame(float actual, double expected, uint32_t bits) {
  if (std::isnan(expected)) {
    EXPECT_TRUE(std::isnan(actual)) << bits;
    return;
  }
  EXPECT_EQ(actual, expected) << bits;
  EXPECT_EQ(std::signbit(actual), std::signbit(expected)) << bits;
}

TEST(BFloat16, WidensEveryPatternExactly) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto narrow = static_cast<uint16_t>(bits);
    ExpectSame(ToFloat(BFloat16{narrow}), ValueOf(narrow, 8), bits);
  }
}

TEST(BFloat16, NarrowsWhatItWidenedToTheSamePattern) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const BFloat16 value{static_cast<uint16_t>(bits)};
    const bool is_nan = std::isnan(ToFloat(value));
    // A signalling NaN comes back quiet.
    const uint32_t expected = is_nan ? bits | 0x40u : bits;
    EXPECT_EQ(ToBFloat16(ToFloat(value)).bits, expected);
  }
}

TEST(BFloat16, RoundsTiesToEven) {
  // Halfway between neighbours a and a + 1: the even one; a hair to either side: the nearer one.
  for (uint32_t bits = 0; bits < 0x7f80; ++bits) {
    const uint32_t halfway = (bits << 16) | 0x8000u;
    const auto narrow = [](uint32_t wide) {
      float value;
      std::memcpy(&value, &wide, sizeof(value));
      return uint32_t{ToBFloat16(value).bits};
    };
    EXPECT_EQ(narrow(halfway), bits + (bits & 1));
    EXPECT_EQ(narrow(halfway - 1), bits);
    EXPECT_EQ(narrow(halfway + 1), bits + 1);
    EXPECT_EQ(narrow(halfway | 0x80000000u), 0x8000u + bits + (bits & 1));
  }
}

TEST(BFloat16, KeepsInfinityAndNan) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(ToBFloat16(infinity).bits, 0x7f80);
  EXPECT_EQ(ToBFloat16(-infinity).bits, 0xff80);
  EXPECT_EQ(ToBFloat16(std::numeric_limits<float>::max()).bits, 0x7f80);
  // A NaN whose payload lies in the bits that fall away must not become infinity.
  const uint32_t low_payload = 0x7f800001u;
  float nan;
  std::memcpy(&nan, &low_payload, sizeof(nan));
  EXPECT_TRUE(std::isnan(ToFloat(ToBFloat16(nan))));
}

TEST(Float16, WidensEveryPatternExactly) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto narrow = static_cast<uint16_t>(bits);
    ExpectSame(ToFloat(Float16{narrow}), ValueOf(narrow, 5), bits);
  }
}

TEST(Float16, WriterNarrowsToTheNearest) {
  for (uint32_t bits = 0; bits < 0x7c00; ++bits) {
    const auto low = static_cast<uint16_t>(bits);
    EXPECT_EQ(tests::ToFloat16(ToFloat(Float16{low})).bits, bits);
    if (bits == 0x7bff) continue;  // the next one is infinity
    const auto high = static_cast<uint16_t>(bits + 1);
    const float middle = (ToFloat(Float16{low}) + ToFloat(Float16{high})) / 2;
    EXPECT_EQ(tests::ToFloat16(middle).bits, bits + (bits & 1));
    EXPECT_EQ(tests::ToFloat16(-middle).bits, 0x8000 + bits + (bits & 1));
    EXPECT_EQ(tests::ToFloat16(std::nextafter(middle, 1e9f)).bits, bits + 1);
  }
  EXPECT_EQ(tests::ToFloat16(65520.0f).bits, 0x7c00);
  EXPECT_EQ(tests::ToFloat16(65519.0f).bits, 0x7bff);
}

}  // namespace
}  // namespace spearfish
