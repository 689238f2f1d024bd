// Where the block allocator gets room from: frames of the arena, an extent at a time.
#ifndef WORKER_KV_BLOCK_SOURCE_H_
#define WORKER_KV_BLOCK_SOURCE_H_

#include <cstdint>
#include <optional>

namespace spearfish::worker {

// An extent is a run of arena frames that holds blocks_per_extent() whole blocks; extent e holds
// the blocks [e * blocks_per_extent(), (e + 1) * blocks_per_extent()). Some extents are KV for
// good; others are soft slots until they are claimed. Used by the engine thread, between steps.
class BlockSource {
 public:
  virtual ~BlockSource() = default;

  virtual uint32_t blocks_per_extent() const = 0;
  // Block ids are below it: the blocks of all extents that can ever be KV.
  virtual uint32_t num_blocks() const = 0;
  // Extents [0, num_reserved_extents()) are KV from the start and are never released.
  virtual uint32_t num_reserved_extents() const = 0;
  // Extents that Claim could give now.
  virtual uint32_t num_claimable_extents() const = 0;

  // Turns the extent whose experts are coldest into KV; nothing when none is left. The next step
  // may use it.
  virtual std::optional<uint32_t> Claim() = 0;
  // Gives a claimed extent back; none of its blocks is held, and no step that is still running
  // uses them.
  virtual void Release(uint32_t extent) = 0;
};

}  // namespace spearfish::worker

#endif  // WORKER_KV_BLOCK_SOURCE_H_
