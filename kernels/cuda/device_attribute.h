// What the current device has.
#ifndef KERNELS_CUDA_DEVICE_ATTRIBUTE_H_
#define KERNELS_CUDA_DEVICE_ATTRIBUTE_H_

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/cuda/cuda_check.h"

namespace spearfish::kernels {

inline uint32_t DeviceAttribute(cudaDeviceAttr attribute) {
  int device = 0;
  int value = 0;
  SF_CUDA(cudaGetDevice(&device));
  SF_CUDA(cudaDeviceGetAttribute(&value, attribute, device));
  return static_cast<uint32_t>(value);
}

// Clusters of blocks, and kernels that start before those before them have ended.
inline bool DeviceIsHopperOrLater() {
  return DeviceAttribute(cudaDevAttrComputeCapabilityMajor) >= 9;
}

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_DEVICE_ATTRIBUTE_H_
