#include "worker/kv/kv_cache.h"

#include "common/base/check.h"

namespace spearfish::worker {

KvCache::KvCache(std::byte* base, const KvLayout& layout, uint32_t num_blocks)
    : base_(base), layout_(layout), num_blocks_(num_blocks) {
  SF_CHECK(reinterpret_cast<uintptr_t>(base) % kKvAddressUnit == 0);
}

kernels::KvLayer KvCache::layer(LayerId layer) const {
  const KvGeometry& geometry = layout_.geometry();
  return {.k = base_ + layout_.KeyOffset(layer),
          .v = base_ + layout_.ValueOffset(layer),
          .num_blocks = layout_.PhysicalBound(num_blocks_),
          .block_tokens = geometry.block_tokens,
          .num_kv_heads = geometry.num_kv_heads,
          .head_dim = geometry.head_dim,
          .block_stride = kKvAddressUnit};
}

}  // namespace spearfish::worker
