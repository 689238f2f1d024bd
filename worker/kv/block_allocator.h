// Hands out the ids of KV cache blocks.
#ifndef WORKER_KV_BLOCK_ALLOCATOR_H_
#define WORKER_KV_BLOCK_ALLOCATOR_H_

#include <cstdint>
#include <optional>
#include <vector>

namespace spearfish::worker {

// Pure bookkeeping: it owns ids, not memory. Used by one thread (the engine's). Invariant: an id is
// either free or held by exactly one caller; the last one returned is the next one handed out, so
// that a lightly loaded worker stays within few pages.
class BlockAllocator {
 public:
  explicit BlockAllocator(uint32_t num_blocks);
  BlockAllocator(const BlockAllocator&) = delete;
  BlockAllocator& operator=(const BlockAllocator&) = delete;

  uint32_t num_blocks() const { return static_cast<uint32_t>(held_.size()); }
  uint32_t num_free() const { return static_cast<uint32_t>(free_.size()); }
  uint32_t num_used() const { return num_blocks() - num_free(); }

  // A block id below num_blocks(), or nothing when all are held. O(1).
  std::optional<uint32_t> Allocate();

  // Takes a held block back. O(1). A block that is not held is a CHECK failure.
  void Free(uint32_t block);

 private:
  std::vector<uint32_t> free_;  // a stack
  std::vector<bool> held_;      // [num_blocks]
};

}  // namespace spearfish::worker

#endif  // WORKER_KV_BLOCK_ALLOCATOR_H_
