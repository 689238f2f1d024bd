#include "kernels/cuda/moe_decode_plan.h"

#include <cstdint>
#include <cstring>
#include <vector>

#include "common/base/bfloat16.h"
#include "gtest/gtest.h"
#include "tests/reference/moe_reference.h"

namespace spearfish::kernels {
namespace {

// A block's shared memory and a multiprocessor's on GPUs of 9.0, where launches may overlap.
constexpr uint32_t kBlockBytes = 232448;
constexpr uint32_t kProcessorBytes = 233472;
constexpr uint32_t kReservedBytes = 1024;  // of each block

double Bf16(uint32_t bits) {
  const uint32_t wide = bits << 16;
  float result;
  std::memcpy(&result, &wide, sizeof(result));
  return static_cast<double>(result);
}

// What an instruction that multiplies and adds bfloat16 without flushing small numbers gives, where
// the result needs no rounding.
double ExactMultiplyAdd(uint32_t a, uint32_t b, uint32_t addend) {
  const double exact = Bf16(a) * Bf16(b) + Bf16(addend);
  EXPECT_EQ(static_cast<double>(ToFloat(ToBFloat16(static_cast<float>(exact)))), exact);
  return exact;
}

TEST(MoeDecodePlan, UpperNibblesWidenToAQuarterOfTheGeneralOperand) {
  for (uint32_t stored = 0; stored < 16; ++stored) {
    const double widened = ExactMultiplyAdd(stored << 4, kMoeWidenFactor, kMoeNibbleAddend);
    EXPECT_EQ(widened * Bf16(MoeSecondFactor(4)), 128.0 + stored);
  }
  EXPECT_EQ(Bf16(MoeFirstFactor(4)), 1.0);
  EXPECT_EQ(Bf16(kMoeSecondOne) * Bf16(MoeSecondFactor(4)), 1.0);
}

TEST(MoeDecodePlan, BytesWidenTo64thsOfTheWeights) {
  for (uint32_t stored = 0; stored < 256; ++stored) {
    const double widened = ExactMultiplyAdd(stored, kMoeWidenFactor, kMoeByteAddend);
    EXPECT_EQ(widened * Bf16(MoeFirstFactor(8)), static_cast<double>(stored) - 128.0);
  }
  EXPECT_EQ(MoeFirstFactor(8), MoeSecondFactor(8));
}

TEST(MoeDecodePlan, ALaneFindsItsOperandsSideBySide) {
  constexpr uint32_t kHidden = 192;
  std::vector<int> seen(kHidden, 0);
  for (uint32_t tile = 0; tile < kHidden / 16; ++tile) {
    for (uint32_t lane = 0; lane < 4; ++lane) {
      for (uint32_t half = 0; half < 2; ++half) {
        const uint32_t input = tile * 16 + half * 8 + lane * 2;
        // 16 bytes a lane for two tiles: both halves of the first, then of the second.
        const uint32_t at = tile / 2 * 32 + lane * 8 + tile % 2 * 4 + half * 2;
        EXPECT_EQ(MoeDecodeXAt(input), at) << input;
        ++seen[at];
        ++seen[at + 1];
      }
    }
  }
  EXPECT_EQ(seen, std::vector<int>(kHidden, 1));
}

TEST(MoeDecodePlan, BlocksCoverEveryUnitOfEveryGroupOnce) {
  for (const uint32_t units : {1u, 2u, 5u, 16u, 17u}) {
    for (const uint32_t groups : {1u, 8u, 31u, 128u}) {
      for (const uint32_t blocks : {1u, 5u, 16u, 108u, 132u}) {
        std::vector<int> seen(size_t{groups} * units, 0);
        for (uint32_t block = 0; block < blocks; ++block) {
          uint32_t before = 0;
          for (MoeItemWalk at(units, block, blocks); at.group() < groups; at.Next()) {
            ASSERT_LT(at.unit(), units);
            const uint32_t item = at.group() * units + at.unit();
            ASSERT_TRUE(item == block || item == before + blocks);
            before = item;
            ++seen[item];
          }
        }
        EXPECT_EQ(seen, std::vector<int>(seen.size(), 1))
            << units << " " << groups << " " << blocks;
      }
    }
  }
}

TEST(MoeDecodePlan, LeavesRoomForTheKernelThatFollows) {
  for (const uint32_t bits : {4u, 8u}) {
    for (const uint32_t hidden : {64u, 192u, 2048u, 3072u, 7168u}) {
      const ExpertLayout layout = reference::MakeExpertLayout(hidden, 1024, bits);
      for (uint32_t rows = 1; rows <= kMoeSplitRows; ++rows) {
        const MoePlan plan = PlanMoeDecode(layout, {rows, rows * 8, 256}, kBlockBytes);
        ASSERT_GE(plan.num_stages, plan.max_tokens == 1 ? 2u : 3u) << hidden << " " << rows;
        ASSERT_LE(plan.max_tokens, kMoeDecodeTokens);
        ASSERT_EQ(plan.max_tokens & (plan.max_tokens - 1), 0u);
        // Its blocks hold sums of 8 choices and their weights, 32 columns each.
        EXPECT_LE(plan.shared_bytes + 8 * 33 * 4 + 2 * kReservedBytes, kProcessorBytes);
        EXPECT_EQ(plan.x_bytes % 128, 0u);
        EXPECT_EQ(plan.x_stride * 2 % 128, 64u);
        EXPECT_GE(plan.x_bytes, plan.max_tokens * plan.x_stride * 2 + MoeDecodeSumBytes(layout));
      }
    }
  }
}

TEST(MoeDecodePlan, SumsOfInputsFitBehindX) {
  for (const uint32_t hidden : {64u, 192u, 3072u}) {
    const ExpertLayout layout = reference::MakeExpertLayout(hidden, 128, 4);
    // Gate's and up's, a float a token and run.
    EXPECT_GE(MoeDecodeSumBytes(layout), 2 * hidden / MoeDecodeRunInputs(4) * kMoeDecodeTokens * 4);
    EXPECT_EQ(MoeDecodeSumBytes(layout) % 128, 0u);
  }
  EXPECT_EQ(MoeDecodeRunInputs(4), 64u);
  EXPECT_EQ(MoeDecodeRunInputs(8), 32u);
}

TEST(MoeDecodePlan, LeavesLargeGroupsToTheGeneralKernel) {
  const ExpertLayout layout = reference::MakeExpertLayout(256, 128, 4);
  EXPECT_EQ(PlanMoeDecode(layout, {8, 64, 8}, kBlockBytes).num_stages, 0u);
  EXPECT_EQ(PlanMoeDecode(layout, {1, 8, 256}, 4000).num_stages, 0u);
}

}  // namespace
}  // namespace spearfish::kernels
