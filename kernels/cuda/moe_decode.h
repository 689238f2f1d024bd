// The MoE kernels for few rows. Plain C++17.
#ifndef KERNELS_CUDA_MOE_DECODE_H_
#define KERNELS_CUDA_MOE_DECODE_H_

#include <cuda_runtime_api.h>

#include "kernels/cuda/launch.h"

namespace spearfish::kernels {

// BF16 activations, at most kMoeSplitRows rows, groups of at most
// kMoeDecodeTokens, and enough shared memory on the current device.
bool MoeDecodeFits(const MoeLaunch& launch);

// The bits are those of the general kernels in moe.cu, and so is the use of the workspace.
void LaunchMoeDecode(const MoeLaunch& launch, cudaStream_t stream);

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_MOE_DECODE_H_
