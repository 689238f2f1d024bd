// The KV blocks of one sequence, in order of position.
#ifndef WORKER_KV_BLOCK_TABLE_H_
#define WORKER_KV_BLOCK_TABLE_H_

#include <cstdint>
#include <span>
#include <vector>

#include "worker/kv/block_allocator.h"

namespace spearfish::worker {

// Holds its blocks until Clear or destruction gives them back. Move-only. The allocator must
// outlive it; same thread as the allocator's. Position p lies in blocks()[p / block_tokens].
class BlockTable {
 public:
  BlockTable(BlockAllocator& allocator, uint32_t block_tokens);
  ~BlockTable() { Clear(); }
  BlockTable(BlockTable&& other) noexcept;
  BlockTable& operator=(BlockTable&& other) noexcept;

  std::span<const uint32_t> blocks() const { return blocks_; }
  uint64_t capacity_tokens() const { return uint64_t{blocks_.size()} * block_tokens_; }

  // Blocks to add before num_tokens tokens fit; 0 when they already do.
  uint32_t BlocksNeeded(uint32_t num_tokens) const;

  // Grows until num_tokens tokens (of the whole sequence, not in addition) fit. All or nothing:
  // false, and no change, when the allocator has fewer free blocks than needed.
  bool Grow(uint32_t num_tokens);

  // Gives every block back.
  void Clear();

 private:
  BlockAllocator* allocator_;
  uint32_t block_tokens_;
  std::vector<uint32_t> blocks_;
};

}  // namespace spearfish::worker

#endif  // WORKER_KV_BLOCK_TABLE_H_
