// The parts of gpu_bench: each prints one table and works on a device of its caller.
#ifndef TESTS_GPU_GPU_BENCH_H_
#define TESTS_GPU_GPU_BENCH_H_

#include <functional>
#include <memory>
#include <random>

#include "kernels/cuda/cuda_device.h"
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/cuda_stream.h"

namespace spearfish::kernels {

// What a benchmark needs; ends the process when something is missing.
class Bench {
 public:
  Bench(Device& device, Kernels& kernels, Stream& stream)
      : device_(device), kernels_(kernels), stream_(stream) {}

  Device& device() { return device_; }
  Kernels& kernels() { return kernels_; }
  Stream& stream() { return stream_; }

  std::unique_ptr<Buffer> Allocate(size_t bytes);
  // Random bits whose bfloat16 and float32 readings are finite and about one.
  std::unique_ptr<Buffer> AllocateRandom(size_t bytes);
  template <typename T>
  std::unique_ptr<Buffer> Upload(const std::vector<T>& values) {
    std::unique_ptr<Buffer> buffer = Allocate(values.size() * sizeof(T));
    stream_.Copy(buffer->data(), values.data(), values.size() * sizeof(T));
    stream_.Synchronize();
    return buffer;
  }

  // Median microseconds of `enqueue` on the stream, by events: captured as a graph and replayed, or
  // enqueued each time.
  double TimeGraph(const std::function<void(Stream&)>& enqueue, int repetitions = 9);
  double TimeEnqueued(const std::function<void(Stream&)>& enqueue, int repetitions = 5);

  std::mt19937& random() { return random_; }

 private:
  double Median(const std::function<void()>& run, int repetitions);

  Device& device_;
  Kernels& kernels_;
  Stream& stream_;
  std::mt19937 random_{7};
};

// Achieved bytes a second of the memories, measured in this run.
struct Ceilings {
  double hbm;   // read by a kernel, 1 GiB
  double link;  // 1 GiB copies from registered memory
  double zero_copy;
};

Ceilings MeasureCeilings(Bench& bench);
void BenchMoe(Bench& bench, const Ceilings& ceilings);
void BenchMoePrefill(Bench& bench);
void BenchDense(Bench& bench, const Ceilings& ceilings);
void BenchAttention(Bench& bench, const Ceilings& ceilings);
void BenchSmall(Bench& bench);
void BenchPoolLoad(Bench& bench);

}  // namespace spearfish::kernels

#endif  // TESTS_GPU_GPU_BENCH_H_
