// The ceilings that kernels are measured against. Plain C++17.
#ifndef TESTS_GPU_BANDWIDTH_PROBE_H_
#define TESTS_GPU_BANDWIDTH_PROBE_H_

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace spearfish::kernels {

// Reads `bytes` (a multiple of 16) once, with 16-byte loads by `blocks` blocks of 512 threads, and
// writes one word. `from` is device memory or a device address of mapped host memory.
void LaunchRead(const void* from, size_t bytes, uint32_t blocks, uint32_t* sink,
                cudaStream_t stream);

}  // namespace spearfish::kernels

#endif  // TESTS_GPU_BANDWIDTH_PROBE_H_
