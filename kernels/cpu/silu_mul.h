// SiluMul on the CPU device; the contract is SiluMulArgs in kernels/api/kernels.h.
#ifndef KERNELS_CPU_SILU_MUL_H_
#define KERNELS_CPU_SILU_MUL_H_

#include "kernels/api/kernels.h"
#include "kernels/cpu/thread_pool.h"

namespace spearfish::kernels {

// Returns when the output is written. Any thread.
void SiluMulCpu(const SiluMulArgs& args, ThreadPool& pool);

}  // namespace spearfish::kernels

#endif  // KERNELS_CPU_SILU_MUL_H_
