// Mixture of experts on the CPU device, straight from the Marlin tiles of the expert records.
#ifndef KERNELS_CPU_MOE_H_
#define KERNELS_CPU_MOE_H_

#include <cstdint>

#include "kernels/api/expert_layout.h"
#include "kernels/api/kernels.h"
#include "kernels/cpu/thread_pool.h"

namespace spearfish::kernels {

// Bytes of MoeArgs::workspace; never falls as num_rows grows, so the figure for the largest call
// serves smaller ones. Rows are worked on in chunks of at most 512. With R = min(num_rows, 512):
//   R * (2 hidden + 20 hidden / w13_group)                     quantised inputs
// + R k * 20                                                   pairs in expert order, work units
// + max(R, min(num_rows, 16) * num_slices) * k * 4 hidden      partial outputs
// each part rounded up to 64 bytes, and 64 for alignment.
uint64_t MoeCpuWorkspaceBytes(const ExpertLayout& layout, uint32_t num_rows, uint32_t k);

// MoeArgs' contract with activation dtype float32; runs to completion. Activations are quantised to
// 16-bit integers per group of inputs (a group whose largest magnitude is below 1e-30 counts as
// zero); the sums inside a group are exact integers, so rows computed together or alone, by any
// number of threads, have the same bits.
void MoeCpu(const MoeArgs& args, ThreadPool& pool);

}  // namespace spearfish::kernels

#endif  // KERNELS_CPU_MOE_H_
