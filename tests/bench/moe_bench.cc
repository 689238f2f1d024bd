// INT4 mixture of experts and dense products on the CPU device, against the rate at which the same
// threads read the same memory. Run: build/release/bin/moe_bench --benchmark_repetitions=3
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <random>
#include <set>
#include <vector>

#include "benchmark/benchmark.h"
#include "common/base/bfloat16.h"
#include "common/base/check.h"
#include "kernels/cpu/linear.h"
#include "kernels/cpu/moe.h"
#include "kernels/cpu/moe_slice.h"
#include "kernels/cpu/moe_workspace.h"
#include "tests/reference/moe_reference.h"

namespace spearfish::kernels {
namespace {

constexpr uint32_t kHidden = 3072;
constexpr uint32_t kIntermediate = 1024;
constexpr uint32_t kNumExperts = 256;
constexpr uint32_t kTopK = 8;

// Memory as the expert cache has it: a shared mapping of small pages.
class SharedMemory {
 public:
  explicit SharedMemory(size_t bytes) : bytes_(bytes) {
    data_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    SF_CHECK(data_ != MAP_FAILED);
  }
  ~SharedMemory() { munmap(data_, bytes_); }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  std::byte* data() const { return static_cast<std::byte*>(data_); }
  size_t bytes() const { return bytes_; }

 private:
  size_t bytes_;
  void* data_;
};

// 256 experts of one layer, 1.25 GB: far more than the 480 MB last-level cache.
class ExpertRecords {
 public:
  ExpertRecords()
      : layout_(reference::MakeExpertLayout(kHidden, kIntermediate, 4)),
        memory_(kNumExperts * layout_.record_bytes) {
    for (uint32_t e = 0; e < kNumExperts; ++e) {
      std::byte* record = memory_.data() + e * layout_.record_bytes;
      if (e == 0) {
        reference::FillRandomRecord(layout_, 1, record);
      } else {
        std::memcpy(record, memory_.data(), layout_.record_bytes);
      }
      addresses_.push_back(reinterpret_cast<uint64_t>(record));
    }
  }

  const ExpertLayout& layout() const { return layout_; }
  const uint64_t* addresses() const { return addresses_.data(); }
  const std::byte* record(uint32_t expert) const {
    return reinterpret_cast<const std::byte*>(addresses_[expert]);
  }

  static const ExpertRecords& Get() {
    static const ExpertRecords records;
    return records;
  }

 private:
  ExpertLayout layout_;
  SharedMemory memory_;
  std::vector<uint64_t> addresses_;
};

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Reads every byte, with the widest loads and a prefetch as far ahead as the kernel's; the result
// keeps the compiler from dropping the loads.
__attribute__((target_clones("avx512f", "avx2", "default"))) uint64_t ReadAll(const std::byte* data,
                                                                              size_t bytes) {
  constexpr size_t kPrefetchBytes = 8192;
  const auto* words = reinterpret_cast<const uint64_t*>(data);
  uint64_t sums[8] = {};
  for (size_t i = 0; i + 8 <= bytes / sizeof(uint64_t); i += 8) {
    __builtin_prefetch(data + i * sizeof(uint64_t) + kPrefetchBytes, 0, 2);
    for (size_t j = 0; j < 8; ++j) sums[j] ^= words[i + j];
  }
  uint64_t all = 0;
  for (const uint64_t sum : sums) all ^= sum;
  return all;
}

// Streams the named records with all threads of the pool, a slice at a time; returns seconds.
double TimeStreaming(const ExpertRecords& records, const std::set<int32_t>& experts,
                     ThreadPool& pool) {
  const std::vector<int32_t> ids(experts.begin(), experts.end());
  const ExpertLayout& layout = records.layout();
  const auto start = std::chrono::steady_clock::now();
  pool.ParallelFor(static_cast<uint32_t>(ids.size()) * layout.num_slices,
                   [&](uint32_t item, uint32_t) {
                     const std::byte* record = records.record(ids[item / layout.num_slices]);
                     const size_t offset = item % layout.num_slices * layout.slice_bytes;
                     benchmark::DoNotOptimize(ReadAll(record + offset, layout.slice_bytes));
                   });
  return SecondsSince(start);
}

std::vector<int32_t> DrawExperts(uint32_t rows, std::mt19937& random) {
  std::vector<int32_t> ids;
  for (uint32_t row = 0; row < rows; ++row) {
    std::set<int32_t> chosen;
    while (chosen.size() < kTopK) chosen.insert(static_cast<int32_t>(random() % kNumExperts));
    ids.insert(ids.end(), chosen.begin(), chosen.end());
  }
  return ids;
}

// Args: rows, threads. Each iteration runs one MoE on freshly drawn experts and one plain read of
// as many other records, so that both see the same disturbance from whatever else runs. share is
// the mean rate over the mean read rate, best_share the best over the best.
void BM_MoeInt4(benchmark::State& state) {
  const auto rows = static_cast<uint32_t>(state.range(0));
  ThreadPool pool(static_cast<uint32_t>(state.range(1)));
  const ExpertRecords& records = ExpertRecords::Get();
  std::mt19937 random(rows);
  std::normal_distribution<float> normal;
  std::vector<float> x(size_t{rows} * kHidden);
  for (float& value : x) value = normal(random);
  const std::vector<float> weights(size_t{rows} * kTopK, 1.0f / kTopK);
  std::vector<float> out(x.size());
  std::vector<std::byte> workspace(MoeCpuWorkspaceBytes(records.layout(), rows, kTopK));

  double bytes = 0, seconds = 0, best = 0, read_bytes = 0, read_seconds = 0, best_read = 0;
  for (auto _ : state) {
    const std::vector<int32_t> ids = DrawExperts(rows, random);
    const std::set<int32_t> used(ids.begin(), ids.end());
    const MoeArgs args = {.x = x.data(),
                          .expert_ids = ids.data(),
                          .expert_weights = weights.data(),
                          .address_table = records.addresses(),
                          .layout = records.layout(),
                          .num_experts = kNumExperts,
                          .k = kTopK,
                          .out = out.data(),
                          .workspace = workspace.data(),
                          .num_rows = rows};
    const auto start = std::chrono::steady_clock::now();
    MoeCpu(args, pool);
    const double elapsed = SecondsSince(start);
    state.SetIterationTime(elapsed);
    const double moved = static_cast<double>(used.size() * records.layout().record_bytes);
    bytes += moved;
    seconds += elapsed;
    best = std::max(best, moved / elapsed);

    std::set<int32_t> others;
    while (others.size() < kTopK) others.insert(static_cast<int32_t>(random() % kNumExperts));
    const double read_elapsed = TimeStreaming(records, others, pool);
    const double read = static_cast<double>(kTopK * records.layout().record_bytes);
    read_bytes += read;
    read_seconds += read_elapsed;
    best_read = std::max(best_read, read / read_elapsed);
  }
  state.counters["GB/s"] = bytes / seconds / 1e9;
  state.counters["read_GB/s"] = read_bytes / read_seconds / 1e9;
  state.counters["share"] = bytes / seconds / (read_bytes / read_seconds);
  state.counters["best_GB/s"] = best / 1e9;
  state.counters["best_read_GB/s"] = best_read / 1e9;
  state.counters["best_share"] = best / best_read;
}
BENCHMARK(BM_MoeInt4)
    ->ArgsProduct({{1, 2, 4, 8, 16}, {1, 2}})
    ->ArgNames({"rows", "threads"})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(BM_MoeInt4)
    ->Args({512, 2})
    ->ArgNames({"rows", "threads"})
    ->UseManualTime()
    ->Iterations(2)
    ->Unit(benchmark::kMillisecond);

double ThreadCpuSeconds() {
  timespec now;
  SF_CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Args: rows, bits. What the arithmetic alone allows: one slice again and again from the
// second-level cache, by the thread's own time, median of all iterations.
void BM_MoeSliceFromCache(benchmark::State& state) {
  const auto num_rows = static_cast<uint32_t>(state.range(0));
  const ExpertLayout layout =
      reference::MakeExpertLayout(kHidden, kIntermediate, static_cast<uint32_t>(state.range(1)));
  const SharedMemory record(layout.record_bytes);
  reference::FillRandomRecord(layout, 1, record.data());
  std::vector<float> x(kHidden, 0.5f);
  MoeWorkspace workspace(layout, num_rows, 1, nullptr);
  const SharedMemory memory(workspace.bytes);
  workspace = MoeWorkspace(layout, num_rows, 1, memory.data());
  std::vector<QuantizedRow> rows;
  std::vector<float*> outs;
  for (uint32_t r = 0; r < num_rows; ++r) {
    rows.push_back(workspace.Row(r));
    outs.push_back(workspace.partials + size_t{r} * kHidden);
    QuantizeMoeRow(x.data(), kHidden, layout.w13_group, rows.back());
  }
  std::vector<double> times;
  for (auto _ : state) {
    const double start = ThreadCpuSeconds();
    RunMoeSlice({.layout = &layout,
                 .slice = reinterpret_cast<const uint8_t*>(record.data()),
                 .rows = rows.data(),
                 .outs = outs.data(),
                 .num_rows = num_rows,
                 .output = SliceOutput::kStore});
    times.push_back(ThreadCpuSeconds() - start);
  }
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  state.counters["GB/s"] = static_cast<double>(layout.slice_bytes) / *middle / 1e9;
  state.counters["GMAC/s"] = 3.0 * kHidden * layout.slice_channels * num_rows / *middle / 1e9;
}
BENCHMARK(BM_MoeSliceFromCache)
    ->ArgsProduct({{1, 2, 4, 32}, {4, 8}})
    ->ArgNames({"rows", "bits"})
    ->Unit(benchmark::kMicrosecond);

// 640 MB of small bfloat16 weights; products walk through it so that none finds its matrix cached.
class DenseWeights {
 public:
  DenseWeights() : memory_(size_t{640} << 20) {
    auto* values = reinterpret_cast<BFloat16*>(memory_.data());
    for (size_t i = 0; i < memory_.bytes() / sizeof(BFloat16); ++i) {
      values[i] = ToBFloat16(static_cast<float>(i % 251) / 251.0f - 0.5f);
    }
  }
  const std::byte* data() const { return memory_.data(); }
  size_t bytes() const { return memory_.bytes(); }

  static const DenseWeights& Get() {
    static const DenseWeights weights;
    return weights;
  }

 private:
  SharedMemory memory_;
};

// Args: rows, outputs, inputs, threads.
template <DType kWeights>
void BM_Linear(benchmark::State& state) {
  const auto rows = static_cast<uint32_t>(state.range(0));
  const auto outputs = static_cast<uint32_t>(state.range(1));
  const auto inputs = static_cast<uint32_t>(state.range(2));
  ThreadPool pool(static_cast<uint32_t>(state.range(3)));
  const DenseWeights& weights = DenseWeights::Get();
  const size_t matrix_bytes = size_t{outputs} * inputs * DTypeBytes(kWeights);
  const std::vector<float> scales(outputs, 0.01f);
  const std::vector<float> x(size_t{rows} * inputs, 0.5f);
  std::vector<float> out(size_t{rows} * outputs);
  size_t offset = 0;
  for (auto _ : state) {
    if (offset + matrix_bytes > weights.bytes()) offset = 0;
    LinearCpu({.x = x.data(),
               .weight = {.data = weights.data() + offset,
                          .dtype = kWeights,
                          .rows = outputs,
                          .cols = inputs,
                          .scales = kWeights == DType::kI8 ? scales.data() : nullptr},
               .bias = nullptr,
               .out = out.data(),
               .out_dtype = DType::kF32,
               .num_rows = rows},
              pool);
    offset += matrix_bytes;
  }
  const double products = static_cast<double>(state.iterations()) * rows * outputs * inputs;
  state.counters["GB/s"] = benchmark::Counter(
      static_cast<double>(state.iterations() * matrix_bytes) / 1e9, benchmark::Counter::kIsRate);
  state.counters["GMAC/s"] = benchmark::Counter(products / 1e9, benchmark::Counter::kIsRate);
}
void LinearShapes(benchmark::internal::Benchmark* linear) {
  linear->ArgsProduct({{1, 4, 16, 128}, {6144}, {3072}, {1, 2}})
      ->ArgNames({"rows", "outputs", "inputs", "threads"})
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}
BENCHMARK_TEMPLATE(BM_Linear, DType::kBF16)->Apply(LinearShapes);
BENCHMARK_TEMPLATE(BM_Linear, DType::kI8)->Apply(LinearShapes);

}  // namespace
}  // namespace spearfish::kernels

BENCHMARK_MAIN();
