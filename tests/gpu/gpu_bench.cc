// gpu_bench: the kernels of a decode step against the ceilings of the machine, in one run.
//   gpu_bench [moe] [prefill] [dense] [attention] [small] [pool]   all parts without arguments
#include "tests/gpu/gpu_bench.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "common/base/check.h"
#include "kernels/cuda/cuda_check.h"
#include "tests/gpu/bandwidth_probe.h"
#include "tests/gpu/host_mapping.h"

namespace spearfish::kernels {
namespace {

constexpr size_t kGiB = size_t{1} << 30;
constexpr uint64_t kBudget = uint64_t{24} << 30;

template <typename T>
T Value(absl::StatusOr<T> result) {
  SF_CHECK_OK(result.status());
  return *std::move(result);
}

int Run(const std::vector<std::string>& parts) {
  const std::unique_ptr<CudaDevice> device = Value(CudaDevice::Create({.budget_bytes = kBudget}));
  const std::unique_ptr<Kernels> kernels = Value(CudaKernels::Create(*device, {}));
  const std::unique_ptr<Stream> stream = Value(device->CreateStream("bench"));
  Bench bench(*device, *kernels, *stream);
  const auto wanted = [&parts](const char* part) {
    return parts.empty() || std::find(parts.begin(), parts.end(), part) != parts.end();
  };
  std::printf("device: %s, %s\n", device->info().name.c_str(), device->info().description.c_str());
  const Ceilings ceilings = MeasureCeilings(bench);
  if (wanted("moe")) BenchMoe(bench, ceilings);
  if (wanted("prefill")) BenchMoePrefill(bench);
  if (wanted("dense")) BenchDense(bench, ceilings);
  if (wanted("attention")) BenchAttention(bench, ceilings);
  if (wanted("small")) BenchSmall(bench);
  if (wanted("pool")) BenchPoolLoad(bench);
  return 0;
}

}  // namespace

std::unique_ptr<Buffer> Bench::Allocate(size_t bytes) {
  return Value(device_.Allocate(bytes, "benchmark"));
}

std::unique_ptr<Buffer> Bench::AllocateRandom(size_t bytes) {
  // Repeats after 16 MiB: enough that no value is predictable to the memory.
  std::vector<uint32_t> words(size_t{4} << 20);
  for (uint32_t& word : words) {
    // Sign and mantissas are random, exponents -1 and 0 in both halves.
    word = (static_cast<uint32_t>(random_()) & 0x80ff80ffu) | 0x3f003f00u;
  }
  std::unique_ptr<Buffer> buffer = Allocate(bytes);
  const size_t piece = words.size() * sizeof(uint32_t);
  for (size_t at = 0; at < bytes; at += piece) {
    stream_.Copy(buffer->as<std::byte>() + at, words.data(), std::min(piece, bytes - at));
  }
  stream_.Synchronize();
  return buffer;
}

double Bench::Median(const std::function<void()>& run, int repetitions) {
  const cudaStream_t on = dynamic_cast<CudaStream&>(stream_).MakeCurrent();
  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;
  SF_CUDA(cudaEventCreate(&begin));
  SF_CUDA(cudaEventCreate(&end));
  run();
  run();
  std::vector<double> micros;
  for (int i = 0; i < repetitions; ++i) {
    SF_CUDA(cudaEventRecord(begin, on));
    run();
    SF_CUDA(cudaEventRecord(end, on));
    SF_CUDA(cudaEventSynchronize(end));
    float millis = 0;
    SF_CUDA(cudaEventElapsedTime(&millis, begin, end));
    micros.push_back(1e3 * static_cast<double>(millis));
  }
  SF_CUDA(cudaEventDestroy(begin));
  SF_CUDA(cudaEventDestroy(end));
  std::sort(micros.begin(), micros.end());
  return micros[micros.size() / 2];
}

double Bench::TimeGraph(const std::function<void(Stream&)>& enqueue, int repetitions) {
  stream_.BeginCapture();
  enqueue(stream_);
  const std::unique_ptr<Graph> graph = stream_.EndCapture();
  const double micros = Median([&] { stream_.Launch(*graph); }, repetitions);
  stream_.Synchronize();
  return micros;
}

double Bench::TimeEnqueued(const std::function<void(Stream&)>& enqueue, int repetitions) {
  const double micros = Median([&] { enqueue(stream_); }, repetitions);
  stream_.Synchronize();
  return micros;
}

Ceilings MeasureCeilings(Bench& bench) {
  const auto memory = bench.AllocateRandom(2 * kGiB);
  HostMapping host(kGiB);
  std::fill_n(host.writable(), kGiB, std::byte{0x5a});
  const auto registration = Value(bench.device().RegisterHost(host.readable()));
  auto* sink = memory->as<uint32_t>();
  const auto read = [&](const void* from, uint32_t blocks) {
    return kGiB / 1e3 / bench.TimeEnqueued([&](Stream& stream) {
      LaunchRead(from, kGiB, blocks, sink, dynamic_cast<CudaStream&>(stream).MakeCurrent());
    });
  };
  const double copy = 2 * kGiB / 1e3 / bench.TimeEnqueued([&](Stream& stream) {
    stream.Copy(memory->as<std::byte>() + kGiB, memory->data(), kGiB);
  });
  const double link = kGiB / 1e3 / bench.TimeEnqueued([&](Stream& stream) {
    stream.Copy(memory->data(), host.readable().data(), kGiB);
  });
  const Ceilings ceilings{read(memory->data(), 132 * 4), link,
                          read(registration->device_address(), 132 * 4)};
  std::printf(
      "ceilings, GB/s: HBM read %.0f, device copy (read + write) %.0f, "
      "1 GiB copies over the link %.1f, zero-copy read %.1f\n",
      ceilings.hbm, copy, ceilings.link, ceilings.zero_copy);
  return ceilings;
}

}  // namespace spearfish::kernels

int main(int argc, char** argv) { return spearfish::kernels::Run({argv + 1, argv + argc}); }
