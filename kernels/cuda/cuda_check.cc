#include "kernels/cuda/cuda_check.h"

#include <unistd.h>

#include <cstdio>

namespace spearfish::kernels {

void CudaFailed(const char* file, int line, const char* call, cudaError_t error) {
  std::fprintf(stderr, "CUDA call failed: %s at %s:%d: %s (%s); the process ends, start it again\n",
               call, file, line, cudaGetErrorName(error), cudaGetErrorString(error));
  std::fflush(stderr);
  _exit(kCudaErrorExitStatus);
}

}  // namespace spearfish::kernels
