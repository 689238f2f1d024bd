// Rows of an operation, spread over the pool in blocks that are worth waking a thread for.
#ifndef KERNELS_CPU_ROW_BLOCKS_H_
#define KERNELS_CPU_ROW_BLOCKS_H_

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/thread_pool.h"

namespace spearfish::kernels {

// Vector elements of work below which another thread costs more than it brings: about 4 us.
inline constexpr uint64_t kMinElementsPerBlock = 32 * 1024;

// Calls `row_body(row)` for every row; `elements_per_row` is the work of one. Little work runs
// inline, in the calling thread.
template <typename RowBody>
void ForEachRow(ThreadPool& pool, uint32_t num_rows, uint64_t elements_per_row,
                const RowBody& row_body) {
  const uint64_t wanted = kMinElementsPerBlock / std::max<uint64_t>(elements_per_row, 1);
  const auto rows_per_block =
      static_cast<uint32_t>(std::clamp<uint64_t>(wanted, 1, std::max(num_rows, 1u)));
  const uint32_t num_blocks = (num_rows + rows_per_block - 1) / rows_per_block;
  pool.ParallelFor(num_blocks, [&](uint32_t block, uint32_t) {
    const uint32_t begin = block * rows_per_block;
    const uint32_t end = std::min(begin + rows_per_block, num_rows);
    for (uint32_t row = begin; row < end; ++row) row_body(row);
  });
}

}  // namespace spearfish::kernels

#endif  // KERNELS_CPU_ROW_BLOCKS_H_
