#include "tests/gpu/hbm_read.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "kernels/cuda/cuda_check.h"
#include "tests/gpu/bandwidth_probe.h"

namespace spearfish::gpu {
namespace {

constexpr size_t kBytes = size_t{1} << 30;
constexpr uint32_t kBlocks = 132 * 4;
constexpr int kWarm = 3;
constexpr int kRepetitions = 9;

// Constant bytes may cost the memory less.
void FillRandom(std::byte* memory) {
  std::mt19937 random(7);
  std::vector<uint32_t> words(size_t{4} << 20);
  for (uint32_t& word : words) word = static_cast<uint32_t>(random());
  const size_t piece = words.size() * sizeof(uint32_t);
  for (size_t at = 0; at < kBytes; at += piece) {
    SF_CUDA(cudaMemcpy(memory + at, words.data(), piece, cudaMemcpyHostToDevice));
  }
}

double ReadMillis(const void* from, uint32_t* sink, cudaEvent_t begin, cudaEvent_t end) {
  SF_CUDA(cudaEventRecord(begin, nullptr));
  kernels::LaunchRead(from, kBytes, kBlocks, sink, nullptr);
  SF_CUDA(cudaEventRecord(end, nullptr));
  SF_CUDA(cudaEventSynchronize(end));
  float millis = 0;
  SF_CUDA(cudaEventElapsedTime(&millis, begin, end));
  return static_cast<double>(millis);
}

}  // namespace

double MeasureHbmRead() {
  void* memory = nullptr;
  uint32_t* sink = nullptr;
  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;
  SF_CUDA(cudaMalloc(&memory, kBytes));
  SF_CUDA(cudaMalloc(reinterpret_cast<void**>(&sink), sizeof(*sink)));
  FillRandom(static_cast<std::byte*>(memory));
  SF_CUDA(cudaEventCreate(&begin));
  SF_CUDA(cudaEventCreate(&end));
  std::vector<double> millis;
  for (int i = 0; i < kWarm + kRepetitions; ++i) {
    const double one = ReadMillis(memory, sink, begin, end);
    if (i >= kWarm) millis.push_back(one);
  }
  SF_CUDA(cudaEventDestroy(begin));
  SF_CUDA(cudaEventDestroy(end));
  SF_CUDA(cudaFree(sink));
  SF_CUDA(cudaFree(memory));
  std::sort(millis.begin(), millis.end());
  return kBytes * 1e3 / millis[millis.size() / 2];
}

}  // namespace spearfish::gpu
