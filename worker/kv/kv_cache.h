// The device memory behind the KV blocks as the kernels see it.
#ifndef WORKER_KV_KV_CACHE_H_
#define WORKER_KV_KV_CACHE_H_

#include <cstddef>
#include <cstdint>

#include "common/base/ids.h"
#include "kernels/api/kernels.h"
#include "worker/kv/kv_layout.h"

namespace spearfish::worker {

// A view: extents of a layout from `base` on, which belong to someone else and must outlive it.
// Which block belongs to whom is the BlockAllocator's matter; which extents may be used, the
// BlockSource's. Immutable. Contents of a block start undefined: a position is written before it is
// read.
class KvCache {
 public:
  // base is aligned to kKvAddressUnit, device memory of every extent that num_blocks blocks take.
  KvCache(std::byte* base, const KvLayout& layout, uint32_t num_blocks);

  const KvLayout& layout() const { return layout_; }
  uint32_t num_blocks() const { return num_blocks_; }
  // Takes KvLayout::PhysicalBlock as block ids.
  kernels::KvLayer layer(LayerId layer) const;

 private:
  std::byte* const base_;
  const KvLayout layout_;
  const uint32_t num_blocks_;
};

}  // namespace spearfish::worker

#endif  // WORKER_KV_KV_CACHE_H_
