// Where the bytes of a KV block lie: all layers of a block together, whole blocks in an extent.
#ifndef WORKER_KV_KV_LAYOUT_H_
#define WORKER_KV_KV_LAYOUT_H_

#include <cstdint>

#include "common/base/ids.h"
#include "common/tensor/dtype.h"

namespace spearfish::worker {

inline constexpr uint32_t kDefaultBlockTokens = 16;
// Block ids as kernels take them count units of so many bytes from the KV base.
inline constexpr uint32_t kKvAddressUnit = 256;

struct KvGeometry {
  uint32_t num_layers = 0;  // those that have a KV cache
  uint32_t num_kv_heads = 0;
  uint32_t head_dim = 0;
  uint32_t block_tokens = kDefaultBlockTokens;
  DType dtype = DType::kF32;  // the backend's activation type
};

// clang-format off
//   block:   k of layer 0 | v of layer 0 | k of layer 1 | ... each [num_kv_heads, block_tokens,
//            head_dim] of the activation type, each begun and the block ended at a multiple of 256
//   extent:  frames_per_extent() frames in a row: blocks_per_extent() blocks, then an unused rest
//   extents: one after the other from the KV base; block b is number b % blocks_per_extent() of
//            extent b / blocks_per_extent()
// clang-format on
// A value; pure arithmetic.
class KvLayout {
 public:
  // An extent has as few frames as leave a rest of at most 5 %, of 1 to 16 frames; where none does,
  // those that leave the least. A block larger than 16 frames is an extent of its own. frame_bytes
  // is a multiple of 256.
  KvLayout(const KvGeometry& geometry, uint64_t frame_bytes);

  const KvGeometry& geometry() const { return geometry_; }
  uint64_t frame_bytes() const { return frame_bytes_; }
  uint64_t block_bytes() const { return BlockBytes(geometry_); }
  uint32_t frames_per_extent() const { return frames_per_extent_; }
  uint32_t blocks_per_extent() const { return blocks_per_extent_; }
  uint64_t extent_bytes() const { return frames_per_extent_ * frame_bytes_; }
  // Extents that hold so many blocks.
  uint32_t ExtentsFor(uint32_t num_blocks) const;

  // Of a layer's keys and values within a block.
  uint64_t KeyOffset(LayerId layer) const;
  uint64_t ValueOffset(LayerId layer) const;
  // The id that kernels know the block by: its distance from the KV base in units of 256 bytes.
  uint32_t PhysicalBlock(uint32_t block) const;
  // Ids of so many blocks are below it: KvLayer::num_blocks.
  uint32_t PhysicalBound(uint32_t num_blocks) const;

  // Bytes that a block takes, without a frame to put it in.
  static uint64_t BlockBytes(const KvGeometry& geometry);

 private:
  const KvGeometry geometry_;
  const uint64_t frame_bytes_;
  uint32_t frames_per_extent_;
  uint32_t blocks_per_extent_;
};

}  // namespace spearfish::worker

#endif  // WORKER_KV_KV_LAYOUT_H_
