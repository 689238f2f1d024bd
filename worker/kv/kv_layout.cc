#include "worker/kv/kv_layout.h"

#include <algorithm>
#include <limits>

#include "common/base/bytes.h"
#include "common/base/check.h"

namespace spearfish::worker {
namespace {

constexpr uint64_t kMaxFramesPerExtent = 16;
constexpr uint64_t kMaxRestPercent = 5;

// Bytes from k to v of a layer, and from v to the next layer's k.
uint64_t HalfLayerBytes(const KvGeometry& geometry) {
  return AlignUp(uint64_t{geometry.num_kv_heads} * geometry.block_tokens * geometry.head_dim *
                     DTypeBytes(geometry.dtype),
                 kKvAddressUnit);
}

uint64_t ChooseFrames(uint64_t block_bytes, uint64_t frame_bytes) {
  const uint64_t least = (block_bytes + frame_bytes - 1) / frame_bytes;
  uint64_t best = least;
  // Rests are compared as shares of the extent: rest(a) / a < rest(b) / b.
  const auto rest = [&](uint64_t frames) { return frames * frame_bytes % block_bytes; };
  for (uint64_t frames = least; frames <= kMaxFramesPerExtent; ++frames) {
    if (rest(frames) * 100 <= frames * frame_bytes * kMaxRestPercent) return frames;
    if (rest(frames) * best < rest(best) * frames) best = frames;
  }
  return best;
}

}  // namespace

KvLayout::KvLayout(const KvGeometry& geometry, uint64_t frame_bytes)
    : geometry_(geometry), frame_bytes_(frame_bytes) {
  SF_CHECK(frame_bytes > 0 && frame_bytes % kKvAddressUnit == 0);
  SF_CHECK(block_bytes() > 0);
  frames_per_extent_ = static_cast<uint32_t>(ChooseFrames(block_bytes(), frame_bytes));
  blocks_per_extent_ = static_cast<uint32_t>(extent_bytes() / block_bytes());
}

uint64_t KvLayout::BlockBytes(const KvGeometry& geometry) {
  return 2 * geometry.num_layers * HalfLayerBytes(geometry);
}

uint32_t KvLayout::ExtentsFor(uint32_t num_blocks) const {
  return static_cast<uint32_t>((uint64_t{num_blocks} + blocks_per_extent_ - 1) /
                               blocks_per_extent_);
}

uint64_t KvLayout::KeyOffset(LayerId layer) const {
  SF_CHECK(Index(layer) < geometry_.num_layers);
  return 2 * Index(layer) * HalfLayerBytes(geometry_);
}

uint64_t KvLayout::ValueOffset(LayerId layer) const {
  return KeyOffset(layer) + HalfLayerBytes(geometry_);
}

uint32_t KvLayout::PhysicalBlock(uint32_t block) const {
  const uint64_t offset =
      block / blocks_per_extent_ * extent_bytes() + block % blocks_per_extent_ * block_bytes();
  // Kernels take int32.
  SF_CHECK(offset / kKvAddressUnit < std::numeric_limits<int32_t>::max());
  return static_cast<uint32_t>(offset / kKvAddressUnit);
}

uint32_t KvLayout::PhysicalBound(uint32_t num_blocks) const {
  return num_blocks == 0 ? 0 : PhysicalBlock(num_blocks - 1) + 1;
}

}  // namespace spearfish::worker
