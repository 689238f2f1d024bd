// GatherRows on the CPU device; the contract is GatherRowsArgs in kernels/api/kernels.h.
#ifndef KERNELS_CPU_GATHER_ROWS_H_
#define KERNELS_CPU_GATHER_ROWS_H_

#include "kernels/api/kernels.h"
#include "kernels/cpu/thread_pool.h"

namespace spearfish::kernels {

// Returns when the output is written. Any thread.
void GatherRowsCpu(const GatherRowsArgs& args, ThreadPool& pool);

}  // namespace spearfish::kernels

#endif  // KERNELS_CPU_GATHER_ROWS_H_
