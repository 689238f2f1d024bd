// The expert pool on the CPU device: how fast it fills against plain memcpy of the same bytes, and
// what its step protocol costs the engine's thread.
// Run: build/release/bin/pool_bench
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "benchmark/benchmark.h"
#include "common/base/bytes.h"
#include "common/base/check.h"
#include "kernels/cpu/cpu_device.h"
#include "worker/experts/expert_pool.h"

namespace spearfish::worker {
namespace {

// Qwen3.5-122B-A10B: hidden 3072, intermediate 1024, INT4 in groups of 128.
constexpr uint64_t kRecordBytes = 4866048;

template <typename T>
T Get(absl::StatusOr<T> value) {
  SF_CHECK_OK(value.status());
  return *std::move(value);
}

// Records in a mapped file of memory, as a segment has them.
class MappedRecords {
 public:
  MappedRecords(uint32_t num_records, uint64_t record_bytes) : bytes_(num_records * record_bytes) {
    const int file = memfd_create("records", 0);
    SF_CHECK(file >= 0 && ftruncate(file, static_cast<off_t>(bytes_)) == 0);
    void* data = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    SF_CHECK(data != MAP_FAILED);
    close(file);
    data_ = static_cast<std::byte*>(data);
    std::memset(data_, 1, bytes_);
    for (uint32_t record = 0; record < num_records; ++record) {
      addresses_.push_back(reinterpret_cast<uint64_t>(data_ + record * record_bytes));
    }
  }
  ~MappedRecords() { munmap(data_, bytes_); }
  MappedRecords(const MappedRecords&) = delete;
  MappedRecords& operator=(const MappedRecords&) = delete;

  const std::byte* data() const { return data_; }
  uint64_t bytes() const { return bytes_; }
  std::span<const uint64_t> addresses() const { return addresses_; }

 private:
  const uint64_t bytes_;
  std::byte* data_;
  std::vector<uint64_t> addresses_;
};

struct Shape {
  uint32_t num_layers;
  uint32_t num_experts;
  uint32_t num_slots;
  uint64_t record_bytes;
};

// A pool whose slots are all soft, and what it is made of.
class Bench {
 public:
  explicit Bench(const Shape& shape)
      : shape_(shape),
        records_(shape.num_layers * shape.num_experts, shape.record_bytes),
        device_(Get(kernels::CpuDevice::Create(
            {.budget_bytes = shape.num_slots * shape.record_bytes + 4 * kMiB}))),
        stream_(Get(device_->CreateStream("steps"))),
        table_(
            Get(AddressTable::Create(*device_, *stream_, shape.num_experts, records_.addresses()))),
        counters_(Get(
            ActivationCounters::Create(*device_, *stream_, shape.num_layers, shape.num_experts))),
        arena_(Get(FrameArena::Create(*device_, shape.record_bytes, shape.num_slots))) {
    std::memset(arena_->base(), 0, shape.num_slots * shape.record_bytes);  // touch its pages
    for (uint32_t f = 0; f < shape.num_slots; ++f) {
      arena_->SetUse(FrameId{f}, FrameUse::kSoftSlot);
    }
    pool_ = Get(ExpertPool::Create({},
                                   {.device = *device_,
                                    .arena = *arena_,
                                    .table = *table_,
                                    .counters = *counters_,
                                    .record_addresses = records_.addresses()},
                                   shape.num_experts));
  }

  const MappedRecords& records() const { return records_; }
  kernels::Stream& stream() { return *stream_; }
  ExpertPool& pool() { return *pool_; }
  FrameArena& arena() { return *arena_; }

  // The router's choice of 8 experts from `first` on in every layer. The stream is idle: the CPU
  // device's memory can be written as it is.
  void Route(uint32_t first) {
    for (uint32_t layer = 0; layer < shape_.num_layers; ++layer) {
      for (uint32_t i = 0; i < 8; ++i) {
        ++counters_->layer(layer)[(first + i) % shape_.num_experts];
      }
    }
  }
  void Step() {
    pool_->BeginStep(*stream_);
    pool_->EndStep(*stream_);
    pool_->PlanNext();
    stream_->Synchronize();
    pool_->FinishStep(1);
  }

 private:
  const Shape shape_;
  const MappedRecords records_;
  std::unique_ptr<kernels::CpuDevice> device_;
  std::unique_ptr<kernels::Stream> stream_;
  std::unique_ptr<AddressTable> table_;
  std::unique_ptr<ActivationCounters> counters_;
  std::unique_ptr<FrameArena> arena_;
  std::unique_ptr<ExpertPool> pool_;
};

constexpr Shape kRealRecords{
    .num_layers = 1, .num_experts = 100, .num_slots = 100, .record_bytes = kRecordBytes};
// All records of the model, cut short: the protocol looks at numbers, not at bytes.
constexpr Shape kAllRecords{
    .num_layers = 48, .num_experts = 256, .num_slots = 4939, .record_bytes = 4096};

void Memcpy(benchmark::State& state) {
  Bench bench(kRealRecords);
  for (auto _ : state) {
    std::memcpy(bench.arena().base(), bench.records().data(), bench.records().bytes());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * bench.records().bytes()));
}
BENCHMARK(Memcpy)->Unit(benchmark::kMillisecond)->UseRealTime();

// The same in pieces of a record: the C library copies them otherwise than one large piece.
void MemcpyByRecord(benchmark::State& state) {
  Bench bench(kRealRecords);
  for (auto _ : state) {
    for (uint64_t at = 0; at < bench.records().bytes(); at += kRecordBytes) {
      std::memcpy(bench.arena().base() + at, bench.records().data() + at, kRecordBytes);
    }
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * bench.records().bytes()));
}
BENCHMARK(MemcpyByRecord)->Unit(benchmark::kMillisecond)->UseRealTime();

void LoadPool(benchmark::State& state) {
  Bench bench(kRealRecords);
  bench.pool().Load(bench.stream());
  for (auto _ : state) {
    state.PauseTiming();
    bench.pool().Reclaim(FrameId{0}, kRealRecords.num_slots, FrameUse::kWorkspace, bench.stream());
    bench.pool().Return(FrameId{0}, kRealRecords.num_slots, bench.stream());
    state.ResumeTiming();
    bench.pool().Load(bench.stream());
  }
  SF_CHECK(bench.pool().figures().num_resident == kRealRecords.num_slots);
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * bench.records().bytes()));
}
BENCHMARK(LoadPool)->Unit(benchmark::kMillisecond)->UseRealTime();

// Sums up what the engine's thread spends in one call.
class Stopwatch {
 public:
  template <typename Call>
  void Time(Call call) {
    const auto start = std::chrono::steady_clock::now();
    call();
    total_ += std::chrono::steady_clock::now() - start;
  }
  double microseconds() const { return std::chrono::duration<double, std::micro>(total_).count(); }

 private:
  std::chrono::steady_clock::duration total_{};
};

// Time of the engine's thread in the four calls; waiting for the stream is not counted. Of 8 routed
// experts a layer, `num_new` are others than in the step before.
void StepProtocol(benchmark::State& state, uint32_t num_new) {
  Bench bench(kAllRecords);
  bench.pool().Load(bench.stream());
  uint32_t first = 0;
  for (int warm = 0; warm < 300; ++warm) {
    bench.Route(first += num_new);
    bench.Step();
  }
  const uint64_t promotions_before = bench.pool().figures().promotions.count;
  Stopwatch begin, end, plan, finish;
  for (auto _ : state) {
    begin.Time([&] { bench.pool().BeginStep(bench.stream()); });
    end.Time([&] { bench.pool().EndStep(bench.stream()); });
    plan.Time([&] { bench.pool().PlanNext(); });
    bench.stream().Synchronize();
    bench.Route(first += num_new);
    finish.Time([&] { bench.pool().FinishStep(1); });
  }
  const auto per_step = [](double value) {
    return benchmark::Counter(value, benchmark::Counter::kAvgIterations);
  };
  state.counters["begin_us"] = per_step(begin.microseconds());
  state.counters["end_us"] = per_step(end.microseconds());
  state.counters["plan_us"] = per_step(plan.microseconds());
  state.counters["finish_us"] = per_step(finish.microseconds());
  state.counters["promotions"] =
      per_step(static_cast<double>(bench.pool().figures().promotions.count - promotions_before));
}
BENCHMARK_CAPTURE(StepProtocol, SameExperts, 0)->Unit(benchmark::kMicrosecond)->Iterations(2000);
BENCHMARK_CAPTURE(StepProtocol, NewExperts, 2)->Unit(benchmark::kMicrosecond)->Iterations(2000);

}  // namespace
}  // namespace spearfish::worker

BENCHMARK_MAIN();
