// A stream of a CUDA device.
#ifndef KERNELS_CUDA_CUDA_STREAM_H_
#define KERNELS_CUDA_CUDA_STREAM_H_

#include <cuda_runtime_api.h>

#include <cstddef>
#include <vector>

#include "kernels/api/device.h"

namespace spearfish::kernels {

// Owns a cudaStream_t that does not synchronise with the default stream. One host thread at a time
// enqueues. Destruction waits for what is enqueued.
class CudaStream : public Stream {
 public:
  explicit CudaStream(int ordinal);
  ~CudaStream() override;
  CudaStream(const CudaStream&) = delete;
  CudaStream& operator=(const CudaStream&) = delete;

  void Copy(void* destination, const void* source, size_t bytes) override;
  // One cudaMemcpyBatchAsync; while capturing, and where the driver does not know it, one copy
  // after the other.
  void CopyBatch(std::span<const CopyEntry> entries) override;
  void Fill(void* destination, uint8_t value, size_t bytes) override;
  void Record(Event& event) override;
  void Wait(const Event& event) override;
  void Synchronize() override;
  void BeginCapture() override;
  std::unique_ptr<Graph> EndCapture() override;
  void Launch(const Graph& graph) override;

  // Makes the device current in the calling thread, as a kernel launch needs it.
  cudaStream_t MakeCurrent();

 private:
  const int ordinal_;
  cudaStream_t stream_ = nullptr;
  bool capturing_ = false;
  bool has_batches_ = true;  // false once the driver refused one

  // The arguments of a batch; kept so that a warm step allocates nothing.
  std::vector<void*> destinations_;
  std::vector<const void*> sources_;
  std::vector<size_t> sizes_;
};

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_CUDA_STREAM_H_
