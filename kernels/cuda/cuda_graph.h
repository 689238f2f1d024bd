// A captured step of a CUDA stream.
#ifndef KERNELS_CUDA_CUDA_GRAPH_H_
#define KERNELS_CUDA_CUDA_GRAPH_H_

#include <cuda_runtime_api.h>

#include "kernels/api/device.h"
#include "kernels/cuda/cuda_check.h"

namespace spearfish::kernels {

// Owns the executable graph; instantiated once, launched any number of times on any stream of the
// device. What it captured (buffers, kernels) must outlive it.
class CudaGraph : public Graph {
 public:
  // Takes `graph` over.
  explicit CudaGraph(cudaGraph_t graph) {
    SF_CUDA(cudaGraphInstantiate(&executable_, graph, 0));
    SF_CUDA(cudaGraphDestroy(graph));
  }
  ~CudaGraph() override { SF_CUDA(cudaGraphExecDestroy(executable_)); }
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;

  cudaGraphExec_t handle() const { return executable_; }

 private:
  cudaGraphExec_t executable_ = nullptr;
};

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_CUDA_GRAPH_H_
