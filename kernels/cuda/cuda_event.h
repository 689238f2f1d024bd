// An event of a CUDA device.
#ifndef KERNELS_CUDA_CUDA_EVENT_H_
#define KERNELS_CUDA_CUDA_EVENT_H_

#include <cuda_runtime_api.h>

#include "kernels/api/device.h"
#include "kernels/cuda/cuda_check.h"

namespace spearfish::kernels {

// Owns a cudaEvent_t of the device that was current when it was made.
class CudaEvent : public Event {
 public:
  CudaEvent() { SF_CUDA(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming)); }
  ~CudaEvent() override { SF_CUDA(cudaEventDestroy(event_)); }
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;

  bool Done() const override {
    const cudaError_t state = cudaEventQuery(event_);
    if (state == cudaErrorNotReady) return false;
    SF_CUDA(state);
    return true;
  }
  void Synchronize() const override { SF_CUDA(cudaEventSynchronize(event_)); }

  cudaEvent_t handle() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_CUDA_EVENT_H_
