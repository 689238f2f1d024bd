// LogProbs on the CPU device; the contract is LogProbsArgs in kernels/api/kernels.h.
#ifndef KERNELS_CPU_LOG_PROBS_H_
#define KERNELS_CPU_LOG_PROBS_H_

#include "kernels/api/kernels.h"
#include "kernels/cpu/thread_pool.h"

namespace spearfish::kernels {

// Returns when the output is written. Any thread.
void LogProbsCpu(const LogProbsArgs& args, ThreadPool& pool);

}  // namespace spearfish::kernels

#endif  // KERNELS_CPU_LOG_PROBS_H_
