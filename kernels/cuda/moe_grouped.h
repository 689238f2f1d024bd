// The MoE launch for many choices an expert, behind LaunchMoe.
#ifndef KERNELS_CUDA_MOE_GROUPED_H_
#define KERNELS_CUDA_MOE_GROUPED_H_

#include "kernels/cuda/launch.h"

namespace spearfish::kernels {

// Whether the launch is worth it and the current device can run it: BF16 activations only.
bool MoeGroupedFits(const MoeLaunch& launch);

// launch.workspace has SizesOfMoeGrouped(layout, num_rows, k).total() bytes (moe_grouped_plan.h).
void LaunchMoeGrouped(const MoeLaunch& launch, cudaStream_t stream);

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_MOE_GROUPED_H_
