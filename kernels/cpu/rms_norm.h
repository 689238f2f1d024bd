// RmsNorm on the CPU device; the contract is RmsNormArgs in kernels/api/kernels.h.
#ifndef KERNELS_CPU_RMS_NORM_H_
#define KERNELS_CPU_RMS_NORM_H_

#include "kernels/api/kernels.h"
#include "kernels/cpu/thread_pool.h"

namespace spearfish::kernels {

// Returns when the output is written. Any thread.
void RmsNormCpu(const RmsNormArgs& args, ThreadPool& pool);

}  // namespace spearfish::kernels

#endif  // KERNELS_CPU_RMS_NORM_H_
