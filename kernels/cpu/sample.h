// Sample on the CPU device; the contract is SampleArgs in kernels/api/kernels.h.
#ifndef KERNELS_CPU_SAMPLE_H_
#define KERNELS_CPU_SAMPLE_H_

#include <cstdint>

#include "kernels/api/kernels.h"
#include "kernels/cpu/thread_pool.h"

namespace spearfish::kernels {

// Returns when the output is written. Any thread.
void SampleCpu(const SampleArgs& args, ThreadPool& pool);

// A copy of the logits and a list of ids a row.
uint64_t SampleCpuWorkspaceBytes(uint32_t num_rows, uint32_t vocab);

}  // namespace spearfish::kernels

#endif  // KERNELS_CPU_SAMPLE_H_
