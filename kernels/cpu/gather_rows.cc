#include "kernels/cpu/gather_rows.h"

#include <cstring>

#include "kernels/cpu/row_blocks.h"

namespace spearfish::kernels {

void GatherRowsCpu(const GatherRowsArgs& args, ThreadPool& pool) {
  const size_t dim = args.dim;
  ForEachRow(pool, args.num_rows, dim, [&](uint32_t row) {
    const float* from =
        static_cast<const float*>(args.x) + static_cast<size_t>(args.rows[row]) * dim;
    std::memcpy(static_cast<float*>(args.out) + row * dim, from, dim * sizeof(float));
  });
}

}  // namespace spearfish::kernels
