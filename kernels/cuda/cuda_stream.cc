#include "kernels/cuda/cuda_stream.h"

#include "common/base/check.h"
#include "kernels/cuda/cuda_check.h"
#include "kernels/cuda/cuda_event.h"
#include "kernels/cuda/cuda_graph.h"

namespace spearfish::kernels {
namespace {

// The events and graphs of a CUDA device are all of these types.
cudaEvent_t HandleOf(const Event& event) {
  const auto* cuda_event = dynamic_cast<const CudaEvent*>(&event);
  SF_CHECK(cuda_event != nullptr);
  return cuda_event->handle();
}

}  // namespace

CudaStream::CudaStream(int ordinal) : ordinal_(ordinal) {
  SF_CUDA(cudaSetDevice(ordinal));
  SF_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
}

CudaStream::~CudaStream() {
  SF_CUDA(cudaStreamSynchronize(stream_));
  SF_CUDA(cudaStreamDestroy(stream_));
}

cudaStream_t CudaStream::MakeCurrent() {
  SF_CUDA(cudaSetDevice(ordinal_));
  return stream_;
}

void CudaStream::Copy(void* destination, const void* source, size_t bytes) {
  if (bytes == 0) return;
  SF_CUDA(cudaMemcpyAsync(destination, source, bytes, cudaMemcpyDefault, MakeCurrent()));
}

void CudaStream::CopyBatch(std::span<const CopyEntry> entries) {
  destinations_.clear();
  sources_.clear();
  sizes_.clear();
  for (const CopyEntry& entry : entries) {
    if (entry.bytes == 0) continue;  // a batch with an empty entry is refused
    destinations_.push_back(entry.destination);
    sources_.push_back(entry.source);
    sizes_.push_back(entry.bytes);
  }
  if (sizes_.empty()) return;
  if (has_batches_ && !capturing_) {
    cudaMemcpyAttributes attributes = {};
    attributes.srcAccessOrder = cudaMemcpySrcAccessOrderStream;
    attributes.flags = cudaMemcpyFlagPreferOverlapWithCompute;
    size_t first = 0;
    const cudaError_t error =
        cudaMemcpyBatchAsync(destinations_.data(), sources_.data(), sizes_.data(), sizes_.size(),
                             &attributes, &first, 1, MakeCurrent());
    if (error == cudaSuccess) return;
    if (error != cudaErrorNotSupported && error != cudaErrorCallRequiresNewerDriver) SF_CUDA(error);
    (void)cudaGetLastError();
    has_batches_ = false;
  }
  for (size_t i = 0; i < sizes_.size(); ++i) Copy(destinations_[i], sources_[i], sizes_[i]);
}

void CudaStream::Fill(void* destination, uint8_t value, size_t bytes) {
  if (bytes == 0) return;
  SF_CUDA(cudaMemsetAsync(destination, value, bytes, MakeCurrent()));
}

void CudaStream::Record(Event& event) {
  SF_CHECK(!capturing_);
  SF_CUDA(cudaEventRecord(HandleOf(event), MakeCurrent()));
}

void CudaStream::Wait(const Event& event) {
  SF_CHECK(!capturing_);
  SF_CUDA(cudaStreamWaitEvent(MakeCurrent(), HandleOf(event), 0));
}

void CudaStream::Synchronize() {
  SF_CHECK(!capturing_);
  SF_CUDA(cudaStreamSynchronize(MakeCurrent()));
}

void CudaStream::BeginCapture() {
  SF_CHECK(!capturing_);
  // Thread-local: what other threads do meanwhile (allocate, load the pool) is no error.
  SF_CUDA(cudaStreamBeginCapture(MakeCurrent(), cudaStreamCaptureModeThreadLocal));
  capturing_ = true;
}

std::unique_ptr<Graph> CudaStream::EndCapture() {
  SF_CHECK(capturing_);
  capturing_ = false;
  cudaGraph_t graph = nullptr;
  SF_CUDA(cudaStreamEndCapture(MakeCurrent(), &graph));
  return std::make_unique<CudaGraph>(graph);
}

void CudaStream::Launch(const Graph& graph) {
  const auto* cuda_graph = dynamic_cast<const CudaGraph*>(&graph);
  SF_CHECK(cuda_graph != nullptr);
  SF_CUDA(cudaGraphLaunch(cuda_graph->handle(), MakeCurrent()));
}

}  // namespace spearfish::kernels
