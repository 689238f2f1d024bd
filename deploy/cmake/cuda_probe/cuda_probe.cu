#include <cublasLt.h>
#include <cuda_runtime.h>

#include <cstdio>

__global__ void Store(size_t* out) { *out = threadIdx.x; }

int main() {
  size_t* out = nullptr;
  if (cudaMallocManaged(&out, sizeof(size_t)) == cudaSuccess) Store<<<1, 1>>>(out);
  std::printf("cuBLASLt %zu: %s\n", cublasLtGetVersion(), cudaGetErrorString(cudaGetLastError()));
  return 0;
}
