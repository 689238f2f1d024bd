// QkNormRopeAppend on the CPU device; the contract is QkNormRopeAppendArgs in
// kernels/api/kernels.h.
#ifndef KERNELS_CPU_QK_NORM_ROPE_APPEND_H_
#define KERNELS_CPU_QK_NORM_ROPE_APPEND_H_

#include "kernels/api/kernels.h"
#include "kernels/cpu/thread_pool.h"

namespace spearfish::kernels {

// Returns when the output is written. Any thread.
void QkNormRopeAppendCpu(const QkNormRopeAppendArgs& args, ThreadPool& pool);

}  // namespace spearfish::kernels

#endif  // KERNELS_CPU_QK_NORM_ROPE_APPEND_H_
