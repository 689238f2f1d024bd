// RouterTopk on the CPU device; the contract is RouterTopkArgs in kernels/api/kernels.h.
#ifndef KERNELS_CPU_ROUTER_TOPK_H_
#define KERNELS_CPU_ROUTER_TOPK_H_

#include "kernels/api/kernels.h"
#include "kernels/cpu/thread_pool.h"

namespace spearfish::kernels {

// Returns when the output is written. Any thread.
void RouterTopkCpu(const RouterTopkArgs& args, ThreadPool& pool);

}  // namespace spearfish::kernels

#endif  // KERNELS_CPU_ROUTER_TOPK_H_
