#include "kernels/api/philox.h"

#include <set>

#include "gtest/gtest.h"

namespace spearfish::kernels {
namespace {

// The known answers published with the Random123 library.
TEST(PhiloxTest, KnownAnswers) {
  EXPECT_EQ(Philox4x32({0, 0, 0, 0}, {0, 0}),
            (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (std::array<uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(PhiloxTest, UniformIsBelowOneAndDependsOnBothHalvesOfSeedAndCounter) {
  std::set<double> seen;
  double sum = 0.0;
  for (uint64_t i = 0; i < 1000; ++i) {
    for (const double u : {UniformDouble(i, 0), UniformDouble(i << 32 | 1, 1),
                           UniformDouble(7, i + 2), UniformDouble(7, (i + 2) << 32)}) {
      EXPECT_GE(u, 0.0);
      EXPECT_LT(u, 1.0);
      seen.insert(u);
      sum += u;
    }
  }
  EXPECT_EQ(seen.size(), 4000u);
  EXPECT_NEAR(sum / 4000, 0.5, 0.03);
}

}  // namespace
}  // namespace spearfish::kernels
