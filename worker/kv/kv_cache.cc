#include "worker/kv/kv_cache.h"

#include <cstddef>
#include <utility>

#include "absl/memory/memory.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace spearfish::worker {

uint64_t KvGeometry::BlockBytes() const {
  return uint64_t{2} * num_layers * num_kv_heads * block_tokens * head_dim * DTypeBytes(dtype);
}

absl::StatusOr<std::unique_ptr<KvCache>> KvCache::Create(kernels::Device& device,
                                                         const KvGeometry& geometry,
                                                         uint32_t num_blocks) {
  SF_ASSIGN_OR_RETURN(auto memory,
                      device.Allocate(geometry.BlockBytes() * num_blocks, "the KV cache"));
  return absl::WrapUnique(new KvCache(std::move(memory), geometry, num_blocks));
}

kernels::KvLayer KvCache::layer(LayerId layer) const {
  SF_CHECK(Index(layer) < geometry_.num_layers);
  const uint64_t half = geometry_.BlockBytes() / geometry_.num_layers / 2 * num_blocks_;
  std::byte* k = memory_->as<std::byte>() + 2 * half * Index(layer);
  return {.k = k,
          .v = k + half,
          .num_blocks = num_blocks_,
          .block_tokens = geometry_.block_tokens,
          .num_kv_heads = geometry_.num_kv_heads,
          .head_dim = geometry_.head_dim};
}

}  // namespace spearfish::worker
