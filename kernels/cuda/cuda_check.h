// SF_CUDA: a CUDA call that must succeed. An error that reaches it is sticky or a broken invariant:
// the process ends with the call and the place; the launcher restarts the worker, which attaches
// the segment again. Plain C++17: CUDA translation units include it.
#ifndef KERNELS_CUDA_CUDA_CHECK_H_
#define KERNELS_CUDA_CUDA_CHECK_H_

#include <cuda_runtime_api.h>

namespace spearfish::kernels {

// The exit status of a process that met a CUDA error (sysexits' EX_SOFTWARE).
inline constexpr int kCudaErrorExitStatus = 70;

// Prints one line to stderr and leaves at once: no destructors (they would make CUDA calls) and no
// core file (it would hold the whole mapped cache).
[[noreturn]] void CudaFailed(const char* file, int line, const char* call, cudaError_t error);

}  // namespace spearfish::kernels

#define SF_CUDA(call)                                                             \
  do {                                                                            \
    const cudaError_t sf_cuda_error = (call);                                     \
    if (sf_cuda_error != cudaSuccess) {                                           \
      ::spearfish::kernels::CudaFailed(__FILE__, __LINE__, #call, sf_cuda_error); \
    }                                                                             \
  } while (false)

#endif  // KERNELS_CUDA_CUDA_CHECK_H_
