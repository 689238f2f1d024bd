#include "worker/kv/kv_cache.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/memory/memory.h"
#include "common/base/bytes.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace spearfish::worker {

namespace {

constexpr uint64_t kAlignment = 256;

// Bytes of k (or v) of one layer.
uint64_t HalfLayerBytes(const KvGeometry& geometry, uint32_t num_blocks) {
  return AlignUp(uint64_t{num_blocks} * geometry.num_kv_heads * geometry.block_tokens *
                     geometry.head_dim * DTypeBytes(geometry.dtype),
                 kAlignment);
}

}  // namespace

uint64_t KvGeometry::BlockBytes() const {
  return uint64_t{2} * num_layers * num_kv_heads * block_tokens * head_dim * DTypeBytes(dtype);
}

uint64_t KvGeometry::CacheBytes(uint32_t num_blocks) const {
  return uint64_t{2} * num_layers * HalfLayerBytes(*this, num_blocks);
}

uint32_t KvGeometry::BlocksThatFit(uint64_t bytes) const {
  const uint64_t alignment_loss = uint64_t{2} * num_layers * kAlignment;
  if (bytes <= alignment_loss) return 0;
  // Block numbers are int32 on the device.
  return static_cast<uint32_t>(
      std::min<uint64_t>((bytes - alignment_loss) / BlockBytes(), INT32_MAX));
}

absl::StatusOr<std::unique_ptr<KvCache>> KvCache::Create(kernels::Device& device,
                                                         const KvGeometry& geometry,
                                                         uint32_t num_blocks) {
  SF_ASSIGN_OR_RETURN(auto memory,
                      device.Allocate(geometry.CacheBytes(num_blocks), "the KV cache"));
  return absl::WrapUnique(new KvCache(std::move(memory), geometry, num_blocks));
}

kernels::KvLayer KvCache::layer(LayerId layer) const {
  SF_CHECK(Index(layer) < geometry_.num_layers);
  const uint64_t half = HalfLayerBytes(geometry_, num_blocks_);
  std::byte* k = memory_->as<std::byte>() + 2 * half * Index(layer);
  return {.k = k,
          .v = k + half,
          .num_blocks = num_blocks_,
          .block_tokens = geometry_.block_tokens,
          .num_kv_heads = geometry_.num_kv_heads,
          .head_dim = geometry_.head_dim};
}

}  // namespace spearfish::worker
