// The device memory behind the KV blocks, for all layers of a model.
#ifndef WORKER_KV_KV_CACHE_H_
#define WORKER_KV_KV_CACHE_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "common/base/ids.h"
#include "common/tensor/dtype.h"
#include "kernels/api/device.h"
#include "kernels/api/kernels.h"

namespace spearfish::worker {

inline constexpr uint32_t kDefaultBlockTokens = 16;

struct KvGeometry {
  uint32_t num_layers = 0;
  uint32_t num_kv_heads = 0;
  uint32_t head_dim = 0;
  uint32_t block_tokens = kDefaultBlockTokens;
  DType dtype = DType::kF32;  // the backend's activation type

  // Bytes that one block takes: k and v, over all layers.
  uint64_t BlockBytes() const;
  // Bytes that a cache of so many blocks takes: each layer's k and v begin aligned.
  uint64_t CacheBytes(uint32_t num_blocks) const;
  // The most blocks that fit; 0 when not even one does.
  uint32_t BlocksThatFit(uint64_t bytes) const;
};

// Owns one allocation: for each layer k, then v, both [num_blocks, num_kv_heads, block_tokens,
// head_dim]. Which block belongs to whom is the BlockAllocator's matter. Immutable after Create;
// the device must outlive it. Contents start undefined: a position is written before it is read.
class KvCache {
 public:
  // ResourceExhausted when the device's budget does not hold it.
  static absl::StatusOr<std::unique_ptr<KvCache>> Create(kernels::Device& device,
                                                         const KvGeometry& geometry,
                                                         uint32_t num_blocks);

  const KvGeometry& geometry() const { return geometry_; }
  uint32_t num_blocks() const { return num_blocks_; }
  kernels::KvLayer layer(LayerId layer) const;

 private:
  KvCache(std::unique_ptr<kernels::Buffer> memory, const KvGeometry& geometry, uint32_t num_blocks)
      : memory_(std::move(memory)), geometry_(geometry), num_blocks_(num_blocks) {}

  const std::unique_ptr<kernels::Buffer> memory_;
  const KvGeometry geometry_;
  const uint32_t num_blocks_;
};

}  // namespace spearfish::worker

#endif  // WORKER_KV_KV_CACHE_H_
