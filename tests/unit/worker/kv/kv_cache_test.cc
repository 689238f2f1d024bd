#include "worker/kv/kv_cache.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <memory>

#include "common/base/bytes.h"
#include "kernels/cpu/cpu_device.h"

namespace spearfish::worker {
namespace {

// One block of one layer's k: 1 * 3 * 10 * 4 = 120 bytes, so nothing is aligned by itself.
constexpr KvGeometry kOddGeometry{
    .num_layers = 3, .num_kv_heads = 1, .head_dim = 10, .block_tokens = 3, .dtype = DType::kF32};

TEST(KvCacheTest, LayersAreApartAndAligned) {
  const auto device = kernels::CpuDevice::Create({.budget_bytes = kMiB});
  ASSERT_TRUE(device.ok()) << device.status();
  const auto cache = KvCache::Create(**device, kOddGeometry, 5);
  ASSERT_TRUE(cache.ok()) << cache.status();
  EXPECT_EQ((*device)->allocated_bytes(), kOddGeometry.CacheBytes(5));
  const std::byte* end = nullptr;
  for (uint32_t layer = 0; layer < 3; ++layer) {
    const kernels::KvLayer kv = (*cache)->layer(LayerId{layer});
    EXPECT_EQ(kv.num_blocks, 5u);
    EXPECT_EQ(kv.block_tokens, 3u);
    EXPECT_EQ(kv.num_kv_heads, 1u);
    EXPECT_EQ(kv.head_dim, 10u);
    for (const void* part : {kv.k, kv.v}) {
      EXPECT_EQ(reinterpret_cast<uintptr_t>(part) % 16, 0u);
      EXPECT_GE(static_cast<const std::byte*>(part), end);
      end = static_cast<const std::byte*>(part) + 5 * 120;
    }
  }
}

TEST(KvCacheTest, BlocksThatFitDoFit) {
  EXPECT_EQ(kOddGeometry.BlockBytes(), 720u);
  EXPECT_EQ(kOddGeometry.BlocksThatFit(0), 0u);
  for (const uint64_t bytes : {720u, 5000u, 100000u}) {
    const uint32_t blocks = kOddGeometry.BlocksThatFit(bytes);
    EXPECT_LE(blocks == 0 ? 0 : kOddGeometry.CacheBytes(blocks), bytes);
  }
  EXPECT_EQ(kOddGeometry.BlocksThatFit(720 * 10 + 6 * 256), 10u);
}

TEST(KvCacheTest, SaysWhenTheBudgetIsTooSmall) {
  const auto device = kernels::CpuDevice::Create({.budget_bytes = 4096});
  ASSERT_TRUE(device.ok()) << device.status();
  EXPECT_EQ(KvCache::Create(**device, kOddGeometry, 100).status().code(),
            absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace spearfish::worker
