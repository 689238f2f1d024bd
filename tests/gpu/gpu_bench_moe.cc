// Mixture of experts: hidden 3072, 1,024 channels, 8 of 256 experts, or of few small experts as
// decode_bench has; 48 layers a graph, each with its own choice of experts, so that nothing is read
// from the second-level cache.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <set>
#include <vector>

#include "common/base/check.h"
#include "tests/gpu/gpu_bench.h"
#include "tests/gpu/host_mapping.h"
#include "tests/reference/moe_reference.h"

namespace spearfish::kernels {
namespace {

struct Shape {
  uint32_t hidden;
  uint32_t channels;
  uint32_t experts;
};
constexpr Shape kLarge = {3072, 1024, 256};
constexpr Shape kSmall = {1024, 512, 32};
constexpr uint32_t kChoices = 8;
constexpr uint32_t kLayers = 48;

class MoeBench {
 public:
  MoeBench(Bench& bench, const Shape& shape, uint32_t bits, bool has_cold)
      : bench_(bench),
        kernels_(bench.kernels()),
        shape_(shape),
        layout_(reference::MakeExpertLayout(shape.hidden, shape.channels, bits)) {
    const uint64_t record = layout_.record_bytes;
    std::vector<std::byte> bytes(record);
    reference::FillRandomRecord(layout_, 1, bytes.data());
    slots_ = bench.Allocate(shape_.experts * record);
    for (uint32_t e = 0; e < shape_.experts; ++e) {
      bench.stream().Copy(slots_->as<std::byte>() + e * record, bytes.data(), record);
    }
    bench.stream().Synchronize();
    if (!has_cold) return;
    cache_ = std::make_unique<HostMapping>(shape_.experts * record);
    for (uint32_t e = 0; e < shape_.experts; ++e) {
      std::memcpy(cache_->writable() + e * record, bytes.data(), record);
    }
    auto registration = bench.device().RegisterHost(cache_->readable());
    SF_CHECK_OK(registration.status());
    registration_ = *std::move(registration);
  }

  // Per layer: the time, and the bytes of the distinct experts of each layer on average.
  struct Result {
    double micros;
    double bytes;
  };

  // `num_cold` of each row's choices are read from the mapped cache.
  Result Run(uint32_t rows, uint32_t num_cold, uint32_t layers = kLayers, int repetitions = 9) {
    std::vector<int32_t> ids;
    std::vector<uint64_t> tables;
    size_t distinct = 0;
    for (uint32_t layer = 0; layer < layers; ++layer) {
      distinct += AddLayer(rows, num_cold, ids, tables);
    }
    const auto ids_there = bench_.Upload(ids);
    const auto tables_there = bench_.Upload(tables);
    const auto weights = bench_.Upload(std::vector<float>(ids.size(), 0.125f));
    const auto x = bench_.AllocateRandom(size_t{rows} * shape_.hidden * 2);
    const auto out = bench_.Allocate(size_t{rows} * shape_.hidden * 2);
    const auto workspace = bench_.Allocate(kernels_.MoeWorkspaceBytes(layout_, rows, kChoices));
    const double micros = bench_.TimeGraph(
        [&](Stream& stream) {
          for (uint32_t layer = 0; layer < layers; ++layer) {
            const size_t first = size_t{layer} * rows * kChoices;
            kernels_.Moe(
                {.x = x->data(),
                 .expert_ids = ids_there->as<int32_t>() + first,
                 .expert_weights = weights->as<float>() + first,
                 .address_table = tables_there->as<uint64_t>() + size_t{layer} * shape_.experts,
                 .layout = layout_,
                 .num_experts = shape_.experts,
                 .k = kChoices,
                 .out = out->data(),
                 .workspace = workspace->data(),
                 .num_rows = rows},
                stream);
          }
        },
        repetitions);
    return {micros / layers,
            static_cast<double>(distinct) * static_cast<double>(layout_.record_bytes) / layers};
  }

 private:
  // Appends a layer's choices and address table; returns how many experts it reads.
  size_t AddLayer(uint32_t rows, uint32_t num_cold, std::vector<int32_t>& ids,
                  std::vector<uint64_t>& tables) {
    const uint64_t record = layout_.record_bytes;
    std::vector<uint64_t> table(shape_.experts);
    for (uint32_t e = 0; e < shape_.experts; ++e) {
      table[e] = reinterpret_cast<uint64_t>(slots_->as<std::byte>() + e * record);
    }
    std::set<int32_t> distinct;
    std::vector<int32_t> all(shape_.experts);
    for (uint32_t e = 0; e < shape_.experts; ++e) all[e] = static_cast<int32_t>(e);
    for (uint32_t row = 0; row < rows; ++row) {
      std::shuffle(all.begin(), all.end(), bench_.random());
      for (uint32_t i = 0; i < kChoices; ++i) {
        const auto e = static_cast<size_t>(all[i]);
        ids.push_back(all[i]);
        distinct.insert(all[i]);
        if (i < num_cold) {
          const auto* mapped = static_cast<const std::byte*>(registration_->device_address());
          table[e] = reinterpret_cast<uint64_t>(mapped + e * record);
        }
      }
    }
    tables.insert(tables.end(), table.begin(), table.end());
    return distinct.size();
  }

  Bench& bench_;
  Kernels& kernels_;
  const Shape shape_;
  const ExpertLayout layout_;
  std::unique_ptr<Buffer> slots_;
  std::unique_ptr<HostMapping> cache_;
  std::unique_ptr<HostRegistration> registration_;
};

double FlopsOf(uint32_t rows) { return 6.0 * kLarge.hidden * kLarge.channels * kChoices * rows; }

// A prompt's rows; the first launch of a process is far behind.
void BenchPrefill(MoeBench& moe, uint32_t bits) {
  for (const uint32_t rows : {128u, 512u, 2048u, 8192u}) {
    const auto [micros, bytes] = moe.Run(rows, 0, 2, 3);
    std::printf("moe INT%u prefill, %4u rows: %8.0f us a layer, %.1f TFLOP/s, %4.0f GB/s\n", bits,
                rows, micros, FlopsOf(rows) / 1e6 / micros, bytes / 1e3 / micros);
  }
}

// The same multiplications by the library, in BF16, as if all choices were of one expert.
void BenchDenseExpert(Bench& bench) {
  const size_t w13_bytes = size_t{2} * kLarge.channels * kLarge.hidden * 2;
  const auto w13 = bench.AllocateRandom(w13_bytes);
  const auto w2 = bench.AllocateRandom(w13_bytes / 2);
  for (const uint32_t rows : {512u, 2048u, 8192u}) {
    const uint32_t choices = rows * kChoices;
    const auto x = bench.AllocateRandom(size_t{choices} * kLarge.hidden * 2);
    const auto inner = bench.AllocateRandom(size_t{choices} * 2 * kLarge.channels * 2);
    const auto product = [&](const Buffer& in, const Buffer& weight, uint32_t outputs,
                             uint32_t inputs, const Buffer& out, Stream& stream) {
      bench.kernels().Linear({.x = in.data(),
                              .weight = {weight.data(), DType::kBF16, outputs, inputs},
                              .bias = nullptr,
                              .out = out.data(),
                              .out_dtype = DType::kBF16,
                              .num_rows = choices},
                             stream);
    };
    const double micros = bench.TimeGraph([&](Stream& stream) {
      product(*x, *w13, 2 * kLarge.channels, kLarge.hidden, *inner, stream);
      product(*inner, *w2, kLarge.hidden, kLarge.channels, *x, stream);
    });
    std::printf("the same products by cuBLASLt, BF16, %4u rows: %8.0f us, %.1f TFLOP/s\n", rows,
                micros, FlopsOf(rows) / 1e6 / micros);
  }
}

// Every choice of an expert that is not in a slot. `bytes` counts each expert once, so what the
// link could have carried in that time, over it, bounds how often a record was read.
void BenchAllCold(MoeBench& moe, const char* shape, std::initializer_list<uint32_t> row_counts,
                  const Ceilings& ceilings) {
  for (const uint32_t rows : row_counts) {
    const auto [micros, bytes] = moe.Run(rows, kChoices, 4, 3);
    const double rate = bytes / 1e3 / micros;
    std::printf(
        "moe INT4 %s all cold, %4u rows: %9.1f us a layer, %.1f GB/s of distinct records, "
        "link time / theirs %.2f\n",
        shape, rows, micros, rate, ceilings.zero_copy / rate);
  }
}

}  // namespace

void BenchMoe(Bench& bench, const Ceilings& ceilings) {
  for (const uint32_t bits : {4u, 8u}) {
    MoeBench moe(bench, kLarge, bits, bits == 4);
    for (const uint32_t rows : {1u, 2u, 4u, 8u, 16u, 32u, 64u}) {
      const auto [micros, bytes] = moe.Run(rows, 0);
      std::printf("moe INT%u hot, %2u rows: %7.2f us a layer, %4.0f GB/s, %.2f of HBM\n", bits,
                  rows, micros, bytes / 1e3 / micros, bytes / 1e3 / micros / ceilings.hbm);
    }
    if (bits == 8) continue;
    for (const uint32_t cold : {1u, 2u, 4u, 8u}) {
      const auto [micros, bytes] = moe.Run(1, cold);
      const double cold_bytes = bytes * cold / kChoices;
      std::printf(
          "moe INT4, %u of 8 cold, 1 row: %7.2f us a layer, %.1f GB/s over the link, "
          "%.3f of zero-copy\n",
          cold, micros, cold_bytes / 1e3 / micros, cold_bytes / 1e3 / micros / ceilings.zero_copy);
    }
    BenchAllCold(moe, "8 of 256", {2, 4, 8, 16, 64, 512, 2048}, ceilings);
  }
  MoeBench small(bench, kSmall, 4, true);
  for (const uint32_t rows : {4u, 8u, 16u, 64u}) {
    const auto [micros, bytes] = small.Run(rows, 0);
    std::printf("moe INT4 1024 x 512, 8 of 32, hot, %2u rows: %7.2f us a layer, %4.0f GB/s\n", rows,
                micros, bytes / 1e3 / micros);
  }
  BenchAllCold(small, "1024 x 512, 8 of 32,", {4, 16, 64}, ceilings);
}

void BenchMoePrefill(Bench& bench) {
  for (const uint32_t bits : {4u, 8u}) {
    MoeBench moe(bench, kLarge, bits, false);
    BenchPrefill(moe, bits);
  }
  BenchDenseExpert(bench);
}

}  // namespace spearfish::kernels
