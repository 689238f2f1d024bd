// Dense matrix product of the CPU device.
#ifndef KERNELS_CPU_LINEAR_H_
#define KERNELS_CPU_LINEAR_H_

#include "kernels/api/kernels.h"
#include "kernels/cpu/thread_pool.h"

namespace spearfish::kernels {

// LinearArgs' contract with activation dtype float32; runs to completion. Any shape; the weight is
// BF16, F32 or I8 and is widened in registers. Every sum over K has one order (a vector of partial
// sums, then its lanes), whatever the number of rows or threads.
void LinearCpu(const LinearArgs& args, ThreadPool& pool);

}  // namespace spearfish::kernels

#endif  // KERNELS_CPU_LINEAR_H_
