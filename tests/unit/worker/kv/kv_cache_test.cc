#include "worker/kv/kv_cache.h"

#include <gtest/gtest.h>

#include <cstddef>

namespace spearfish::worker {
namespace {

constexpr KvGeometry kGeometry{
    .num_layers = 3, .num_kv_heads = 1, .head_dim = 10, .block_tokens = 3, .dtype = DType::kF32};

TEST(KvCacheTest, LayersLeadIntoTheLayout) {
  const KvLayout layout(kGeometry, 4096);
  alignas(256) std::byte base[256];
  const KvCache cache(base, layout, 7);
  EXPECT_EQ(cache.num_blocks(), 7u);
  for (uint32_t layer = 0; layer < 3; ++layer) {
    const kernels::KvLayer kv = cache.layer(LayerId{layer});
    EXPECT_EQ(static_cast<std::byte*>(kv.k) - base, layer * 512);
    EXPECT_EQ(static_cast<std::byte*>(kv.v) - base, layer * 512 + 256);
    EXPECT_EQ(kv.num_blocks, layout.PhysicalBlock(6) + 1);
    EXPECT_EQ(kv.block_stride, kKvAddressUnit);
    EXPECT_EQ(kv.block_tokens, 3u);
    EXPECT_EQ(kv.num_kv_heads, 1u);
    EXPECT_EQ(kv.head_dim, 10u);
  }
}

TEST(KvCacheDeathTest, ChecksTheBase) {
  alignas(256) std::byte base[256];
  EXPECT_DEATH(KvCache(base + 128, KvLayout(kGeometry, 4096), 1), "kKvAddressUnit");
}

}  // namespace
}  // namespace spearfish::worker
