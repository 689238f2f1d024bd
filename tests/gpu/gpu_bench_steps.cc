// The other kernels of a step, and the pool's load.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <random>
#include <thread>
#include <vector>

#include "common/base/check.h"
#include "tests/gpu/gpu_bench.h"
#include "tests/gpu/host_mapping.h"

namespace spearfish::kernels {

namespace {

struct DenseShape {
  uint32_t outputs;
  uint32_t inputs;
  uint32_t matrices;  // different ones, several times the second-level cache together
};

void BenchDenseShape(Bench& bench, const Ceilings& ceilings, const DenseShape& shape, DType dtype) {
  const size_t bytes = size_t{shape.outputs} * shape.inputs * DTypeBytes(dtype);
  const auto weights = bench.AllocateRandom(bytes * shape.matrices);
  const auto scales = bench.AllocateRandom(size_t{shape.outputs} * sizeof(float));
  const auto x = bench.AllocateRandom(size_t{512} * shape.inputs * 2);
  const auto out = bench.Allocate(size_t{512} * shape.outputs * 4);
  for (const uint32_t rows : {1u, 2u, 4u, 8u, 16u, 32u, 64u, 128u, 512u}) {
    const double micros = bench.TimeGraph([&](Stream& stream) {
      for (uint32_t m = 0; m < shape.matrices; ++m) {
        bench.kernels().Linear(
            {.x = x->data(),
             .weight = {weights->as<std::byte>() + m * bytes, dtype, shape.outputs, shape.inputs,
                        dtype == DType::kI8 ? scales->as<float>() : nullptr},
             .bias = nullptr,
             .out = out->data(),
             .out_dtype = DType::kBF16,
             .num_rows = rows},
            stream);
      }
    }) / shape.matrices;
    const double rate = static_cast<double>(bytes) / 1e3 / micros;
    std::printf("linear %4s %6u x %u, %3u rows: %7.2f us, %4.0f GB/s, %.2f of HBM, %.0f TFLOP/s\n",
                DTypeName(dtype), shape.outputs, shape.inputs, rows, micros, rate,
                rate / ceilings.hbm, 2e-6 * rows * shape.outputs * shape.inputs / micros);
  }
}

}  // namespace

void BenchDense(Bench& bench, const Ceilings& ceilings) {
  for (const DType dtype : {DType::kBF16, DType::kI8}) {
    // INT8 halves the bytes: twice the matrices.
    const uint32_t matrices = dtype == DType::kI8 ? 24 : 12;
    BenchDenseShape(bench, ceilings, {9216, 3072, matrices}, dtype);
    BenchDenseShape(bench, ceilings, {3072, 8192, matrices}, dtype);
    BenchDenseShape(bench, ceilings, {151936, 3072, 1}, dtype);
  }
}

void BenchAttention(Bench& bench, const Ceilings& ceilings) {
  constexpr uint32_t kHeads = 32;
  constexpr uint32_t kKvHeads = 4;
  constexpr uint32_t kHeadDim = 128;
  constexpr uint32_t kBlockTokens = 16;
  constexpr uint64_t kBlockBytes = uint64_t{kKvHeads} * kBlockTokens * kHeadDim * 2;
  struct Case {
    uint32_t sequences;
    uint32_t context;
    uint32_t queries;
  };
  const Case cases[] = {{1, 256, 1},     {1, 2048, 1},    {1, 32768, 1},  {8, 2048, 1},
                        {8, 8192, 1},    {64, 2048, 1},   {1, 128, 128},  {1, 512, 512},
                        {1, 2048, 2048}, {1, 8192, 8192}, {1, 8192, 512}, {4, 2048, 512}};
  for (const Case& c : cases) {
    const uint32_t blocks_each = c.context / kBlockTokens;
    const uint32_t num_blocks = blocks_each * c.sequences;
    std::vector<int32_t> tables(num_blocks);
    for (uint32_t b = 0; b < num_blocks; ++b) tables[b] = static_cast<int32_t>(b);
    std::shuffle(tables.begin(), tables.end(), bench.random());
    std::vector<int32_t> starts;
    for (uint32_t s = 0; s <= c.sequences; ++s)
      starts.push_back(static_cast<int32_t>(s * c.queries));
    const uint32_t rows = c.sequences * c.queries;
    const auto tables_there = bench.Upload(tables);
    const auto starts_there = bench.Upload(starts);
    const auto lens =
        bench.Upload(std::vector<int32_t>(c.sequences, static_cast<int32_t>(c.context)));
    const size_t row_bytes = size_t{kHeads} * kHeadDim * 2;
    const auto q = bench.AllocateRandom(rows * row_bytes);
    const auto out = bench.Allocate(rows * row_bytes);
    const auto workspace = bench.Allocate(
        std::max<uint64_t>(1, bench.kernels().AttentionWorkspaceBytes(
                                  {rows, blocks_each * kBlockTokens, kHeads, kKvHeads, kHeadDim})));
    // Enough layers that the keys of one are gone from the cache when it comes again.
    const uint64_t layer_bytes = 2 * kBlockBytes * num_blocks;
    const auto layers =
        static_cast<uint32_t>(std::clamp<uint64_t>((uint64_t{256} << 20) / layer_bytes, 2, 48));
    const auto kv = bench.AllocateRandom(layers * layer_bytes);
    const double micros = bench.TimeGraph([&](Stream& stream) {
      for (uint32_t layer = 0; layer < layers; ++layer) {
        std::byte* k = kv->as<std::byte>() + layer * layer_bytes;
        bench.kernels().Attention({.q = q->data(),
                                   .kv = {k, k + layer_bytes / 2, num_blocks, kBlockTokens,
                                          kKvHeads, kHeadDim, kBlockBytes},
                                   .query_starts = starts_there->as<int32_t>(),
                                   .context_lens = lens->as<int32_t>(),
                                   .block_tables = tables_there->as<int32_t>(),
                                   .out = out->data(),
                                   .scale = 0.01f,
                                   .num_rows = rows,
                                   .num_seqs = c.sequences,
                                   .max_blocks = blocks_each,
                                   .num_heads = kHeads,
                                   .workspace = workspace->data()},
                                  stream);
      }
    }) / layers;
    const double rate = static_cast<double>(layer_bytes) / 1e3 / micros;
    std::printf(
        "attention, %2u sequences of %5u, %4u queries each: %8.2f us, %4.0f GB/s, %.2f of "
        "HBM\n",
        c.sequences, c.context, c.queries, micros, rate, rate / ceilings.hbm);
  }
}

namespace {

struct SampleCase {
  const char* name;
  bool peaked;  // logits as of a model; else within [-2, 2]
  SampleRow row;
};
constexpr SampleCase kSampleCases[] = {
    {"sample greedy of 151936", true, {}},
    {"sample top-k, top-p, flat", false, {.temperature = 0.8f, .top_p = 0.95f, .top_k = 20}},
    {"sample top-k, top-p, peaked", true, {.temperature = 0.8f, .top_p = 0.95f, .top_k = 20}},
    {"sample top-p, peaked", true, {.temperature = 0.8f, .top_p = 0.95f}},
    {"sample temperature, flat", false, {.temperature = 0.8f}},
    {"sample temperature, peaked", true, {.temperature = 0.8f}},
};

// Deviation 3, and a few far above.
std::vector<float> PeakedLogits(Bench& bench, size_t count) {
  std::normal_distribution<float> normal(0.0f, 3.0f);
  std::vector<float> logits(count);
  for (float& logit : logits) logit = normal(bench.random());
  for (size_t i = 0; i < count; i += 25013) logits[i] = 17.0f + normal(bench.random());
  return logits;
}

}  // namespace

void BenchSmall(Bench& bench) {
  constexpr uint32_t kHidden = 3072;
  constexpr uint32_t kVocab = 151936;
  constexpr uint32_t kCalls = 100;
  const auto x = bench.AllocateRandom(size_t{64} * 2 * kHidden * 2);
  const auto residual = bench.AllocateRandom(size_t{64} * kHidden * 2);
  const auto out = bench.Allocate(size_t{64} * 2 * kHidden * 4);
  const auto weight = bench.AllocateRandom(kHidden * 4);
  const auto gate = bench.AllocateRandom(size_t{256} * kHidden * 2);
  const auto logits = bench.AllocateRandom(size_t{64} * kVocab * 4);
  const auto peaked = bench.Upload(PeakedLogits(bench, size_t{64} * kVocab));
  const auto workspace = bench.Allocate(bench.kernels().SampleWorkspaceBytes(64, kVocab));
  const auto tokens = bench.Upload(std::vector<int32_t>(64, 7));
  const auto print = [&](const char* name, uint32_t rows, uint32_t calls, const auto& call) {
    const double micros = bench.TimeGraph([&](Stream& stream) {
      for (uint32_t i = 0; i < calls; ++i) call(stream);
    });
    std::printf("%-28s %2u rows: %7.2f us\n", name, rows, micros / calls);
  };
  for (const uint32_t rows : {1u, 8u, 64u}) {
    print("rms_norm 3072 with residual", rows, kCalls, [&](Stream& stream) {
      bench.kernels().RmsNorm(
          {x->data(), residual->data(), weight->as<float>(), out->data(), rows, kHidden, 1e-6f},
          stream);
    });
    print("router_topk 8 of 256", rows, kCalls, [&](Stream& stream) {
      bench.kernels().RouterTopk({.x = x->data(),
                                  .gate = {gate->data(), DType::kBF16, 256, kHidden},
                                  .k = 8,
                                  .normalize = true,
                                  .expert_ids = out->as<int32_t>(),
                                  .expert_weights = out->as<float>() + 4096,
                                  .activation_counts = nullptr,
                                  .num_rows = rows},
                                 stream);
    });
    for (const SampleCase& c : kSampleCases) {
      const auto samples = bench.Upload(std::vector<SampleRow>(rows, c.row));
      print(c.name, rows, 10, [&](Stream& stream) {
        bench.kernels().Sample({.logits = (c.peaked ? peaked : logits)->as<float>(),
                                .rows = samples->as<SampleRow>(),
                                .history = tokens->as<int32_t>(),
                                .biases = nullptr,
                                .out_tokens = out->as<int32_t>(),
                                .workspace = workspace->data(),
                                .num_rows = rows,
                                .vocab = kVocab},
                               stream);
      });
    }
    print("log_probs top 5 of 151936", rows, 10, [&](Stream& stream) {
      bench.kernels().LogProbs({.logits = logits->as<float>(),
                                .tokens = tokens->as<int32_t>(),
                                .token_logprobs = out->as<float>(),
                                .ranks = out->as<int32_t>() + 64,
                                .top_ids = out->as<int32_t>() + 128,
                                .top_logprobs = out->as<float>() + 1024,
                                .num_rows = rows,
                                .vocab = kVocab,
                                .top_n = 5},
                               stream);
    });
  }
}

// Random records of a mapped cache to slots, in one batch and one by one, beside copies of 1 GiB.
void BenchPoolLoad(Bench& bench) {
  constexpr size_t kRecord = 4870144;  // hidden 3072, 1,024 channels, INT4
  constexpr size_t kCacheRecords = 3500;
  constexpr size_t kSlots = 2400;
  constexpr size_t kPiece = size_t{1} << 30;
  HostMapping cache(kRecord * kCacheRecords);
  std::vector<std::thread> writers;
  constexpr size_t kWriters = 16;
  for (size_t w = 0; w < kWriters; ++w) {
    writers.emplace_back([&, w] {
      const size_t share = kRecord * kCacheRecords / kWriters;
      std::fill_n(cache.writable() + w * share, share, static_cast<std::byte>(w + 1));
    });
  }
  for (std::thread& writer : writers) writer.join();
  const auto begin = std::chrono::steady_clock::now();
  auto registration = bench.device().RegisterHost(cache.readable());
  SF_CHECK_OK(registration.status());
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  std::printf("pool: %.1f GB registered in %.2f s\n", kRecord * kCacheRecords / 1e9,
              seconds.count());
  const auto slots = bench.Allocate(kRecord * kSlots);
  std::vector<size_t> order(kCacheRecords);
  for (size_t i = 0; i < kCacheRecords; ++i) order[i] = i;
  std::shuffle(order.begin(), order.end(), bench.random());
  std::vector<CopyEntry> entries;
  for (size_t s = 0; s < kSlots; ++s) {
    entries.push_back({slots->as<std::byte>() + s * kRecord,
                       cache.readable().data() + order[s] * kRecord, kRecord});
  }
  constexpr double kBytes = static_cast<double>(kRecord) * kSlots;
  const double batch =
      kBytes / 1e3 / bench.TimeEnqueued([&](Stream& stream) { stream.CopyBatch(entries); });
  const double batches = kBytes / 1e3 / bench.TimeEnqueued([&](Stream& stream) {
    for (size_t at = 0; at < kSlots; at += 800) {
      stream.CopyBatch(std::span(entries).subspan(at, std::min<size_t>(800, kSlots - at)));
    }
  });
  const double single = kBytes / 1e3 / bench.TimeEnqueued([&](Stream& stream) {
    for (const CopyEntry& entry : entries)
      stream.Copy(entry.destination, entry.source, entry.bytes);
  });
  constexpr size_t kPieces = 10;
  const double pieces = kPieces * kPiece / 1e3 / bench.TimeEnqueued([&](Stream& stream) {
    for (size_t i = 0; i < kPieces; ++i) {
      stream.Copy(slots->as<std::byte>() + i * kPiece, cache.readable().data() + i * kPiece,
                  kPiece);
    }
  });
  std::printf(
      "pool load of %.1f GB in records of 4.87 MB, GB/s: one batch %.2f (%.3f of 1 GiB "
      "copies), batches of 800 %.2f (%.3f), one by one %.2f, 1 GiB copies %.2f\n",
      kBytes / 1e9, batch, batch / pieces, batches, batches / pieces, single, pieces);
}

}  // namespace spearfish::kernels
