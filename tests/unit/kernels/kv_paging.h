// The ways in which the blocks of a paged KV cache may lie in memory.
#ifndef TESTS_UNIT_KERNELS_KV_PAGING_H_
#define TESTS_UNIT_KERNELS_KV_PAGING_H_

#include <cstddef>
#include <cstdint>

#include "common/base/bytes.h"
#include "kernels/api/kernels.h"
#include "kernels/api/validate.h"

namespace spearfish::kernels {

enum class Paging {
  kPacked,  // block after block
  kApart,   // an odd number of alignment units between them
  kUnits,   // ids count units smaller than a block, with a rest between the blocks
};
inline constexpr Paging kPagings[] = {Paging::kPacked, Paging::kApart, Paging::kUnits};

// Says which id block number `b` of a test has and makes the layer that goes with it.
class KvPaging {
 public:
  KvPaging(Paging paging, uint32_t num_kv_heads, uint32_t block_tokens, uint32_t head_dim)
      : num_kv_heads_(num_kv_heads), block_tokens_(block_tokens), head_dim_(head_dim) {
    const uint64_t bytes = uint64_t{num_kv_heads} * block_tokens * head_dim * sizeof(float);
    stride_ = AlignUp(bytes, kBufferAlignment);
    if (paging == Paging::kApart) stride_ += 3 * kBufferAlignment;
    if (paging == Paging::kUnits) {
      stride_ = 3 * kBufferAlignment;
      first_id_ = 2;
      ids_per_block_ = static_cast<uint32_t>((bytes + stride_ - 1) / stride_ + 1);
    }
  }

  uint32_t id(uint32_t block) const { return first_id_ + block * ids_per_block_; }
  // Floats of k (or v) that a cache of so many blocks takes.
  size_t plane_floats(uint32_t num_blocks) const {
    return id(num_blocks) * stride_ / sizeof(float);
  }
  KvLayer Layer(float* k, float* v, uint32_t num_blocks) const {
    return {k, v, id(num_blocks), block_tokens_, num_kv_heads_, head_dim_, stride_};
  }

 private:
  const uint32_t num_kv_heads_;
  const uint32_t block_tokens_;
  const uint32_t head_dim_;
  uint64_t stride_;
  uint32_t first_id_ = 0;
  uint32_t ids_per_block_ = 1;
};

}  // namespace spearfish::kernels

#endif  // TESTS_UNIT_KERNELS_KV_PAGING_H_
