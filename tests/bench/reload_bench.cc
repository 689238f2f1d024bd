// Decode beside a background reload: four sequences decode, a long prompt borrows soft frames, and
// their experts come back while decode goes on. Step times with and without the reload, in one run.
// usage: reload_bench [SAMPLES.csv]
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "common/base/check.h"
#include "tests/golden/loaded_model.h"
#include "tests/support/synthetic_checkpoint.h"
#include "tests/support/temp_dir.h"
#include "worker/kv/block_allocator.h"
#include "worker/kv/block_table.h"

namespace spearfish::tests {
namespace {

constexpr uint32_t kVocab = 2048;
constexpr uint32_t kStreams = 4;
constexpr uint32_t kPromptTokens = 1500;
constexpr uint32_t kStepsBefore = 300;
constexpr uint32_t kStepsAfter = 600;
constexpr double kCoverage = 0.402;

struct Sample {
  double at_ms = 0;    // end of the step, since the first
  double step_ms = 0;  // of a decode step; 0 for prefill
  double coverage = 0;
  bool loading = false;  // copies were queued or on their way
  bool after = false;    // after the long prompt
};

// One sequence, driven without an engine.
struct Stream {
  worker::BlockTable blocks;
  std::vector<TokenId> tokens;
  uint32_t num_computed = 0;
};

class Bench {
 public:
  explicit Bench(worker::Qwen3MoeModel& model) : model_(model), allocator_(model.kv_blocks()) {}

  void Run() {
    std::vector<Stream> streams;
    for (uint32_t i = 0; i < kStreams; ++i) streams.push_back(Start(5, i));
    Step(streams, 5);
    for (uint32_t i = 0; i < kStepsBefore; ++i) Decode(streams, false);
    {
      std::vector<Stream> prompt;
      prompt.push_back(Start(kPromptTokens, 77));
      SF_CHECK(prompt.front().blocks.Grow(kPromptTokens));  // KV first: it takes frames as well
      const uint32_t rows = model_.BorrowStepTokens(kPromptTokens);
      SF_CHECK(rows == kPromptTokens);
      Note(0, false, true);
      const absl::Time begin = absl::Now();
      Step(prompt, kPromptTokens);
      prefill_ms_ = absl::ToDoubleMilliseconds(absl::Now() - begin);
      Note(0, false, true);
      model_.ReturnStepTokens();
    }
    allocator_.Trim();
    for (uint32_t i = 0; i < kStepsAfter; ++i) Decode(streams, true);
  }

  const std::vector<Sample>& samples() const { return samples_; }
  double prefill_ms() const { return prefill_ms_; }

 private:
  Stream Start(uint32_t num_tokens, uint32_t seed) {
    Stream stream{.blocks = worker::BlockTable(allocator_, model_.kv_block_tokens()), .tokens = {}};
    for (uint32_t i = 0; i < num_tokens; ++i) {
      stream.tokens.push_back((seed * 131 + i * i * 7 + i) % kVocab);
    }
    return stream;
  }

  // Computes the next `num_tokens` of each and appends the token that follows.
  void Step(std::vector<Stream>& streams, uint32_t num_tokens) {
    std::vector<worker::StepSequence> sequences;
    std::vector<worker::StepLogitRow> rows;
    for (Stream& stream : streams) {
      const uint32_t end = stream.num_computed + num_tokens;
      SF_CHECK(stream.blocks.Grow(end));
      sequences.push_back(
          {.token_ids = std::span(stream.tokens).subspan(stream.num_computed, num_tokens),
           .context_len = end,
           .block_table = stream.blocks.blocks()});
      rows.push_back(
          {.row = static_cast<uint32_t>(sequences.size()) * num_tokens - 1, .sample = true});
      stream.num_computed = end;
    }
    model_.Forward({.sequences = sequences, .logit_rows = rows}, output_);
    for (size_t i = 0; i < streams.size(); ++i) streams[i].tokens.push_back(output_.tokens[i]);
  }

  void Decode(std::vector<Stream>& streams, bool after) {
    const uint64_t reloaded = model_.pool_figures().reloads.count;
    const absl::Time begin = absl::Now();
    Step(streams, 1);
    const double step_ms = absl::ToDoubleMilliseconds(absl::Now() - begin);
    const worker::PoolFigures pool = model_.pool_figures();
    Note(step_ms, pool.num_loading > 0 || pool.reloads.count > reloaded, after);
  }

  void Note(double step_ms, bool loading, bool after) {
    samples_.push_back({.at_ms = absl::ToDoubleMilliseconds(absl::Now() - begin_),
                        .step_ms = step_ms,
                        .coverage = model_.pool_figures().coverage(),
                        .loading = loading,
                        .after = after});
  }

  worker::Qwen3MoeModel& model_;
  worker::BlockAllocator allocator_;
  worker::StepOutput output_;
  const absl::Time begin_ = absl::Now();
  double prefill_ms_ = 0;
  std::vector<Sample> samples_;
};

LoadedModelOptions Options() {
  LoadedModelOptions options;
  options.num_threads = 1;  // the copies' thread has the other core
  options.model.max_model_len = 2048;
  options.model.max_step_tokens = 64;
  options.model.max_step_sequences = 8;
  options.model.max_borrowed_step_tokens = kPromptTokens;
  options.model.hard_share = 0.25;
  options.model.pool.promotions_per_layer_token = 0;  // the reload alone
  options.model.pool.max_bytes_in_flight = 512 << 10;
  options.model.pool.batch_bytes = 256 << 10;
  return options;
}

// So much device memory that kCoverage of the experts get slots.
uint64_t ScarceBytes(const std::string& folder, LoadedModelOptions options) {
  const auto roomy = LoadedModel::Create(folder, options);
  SF_CHECK_OK(roomy.status());
  const worker::Qwen3MoeModel& model = *(*roomy)->model;
  const worker::ArenaPlan& plan = model.arena_plan();
  const uint64_t fixed =
      (*roomy)->device->allocated_bytes() - uint64_t{plan.num_frames()} * plan.frame_bytes;
  const uint32_t blocks = options.model.max_model_len / options.model.kv_block_tokens;
  const uint64_t kv = uint64_t{(blocks + plan.blocks_per_extent - 1) / plan.blocks_per_extent} *
                      plan.frames_per_extent;
  const uint64_t workspace = model.workspace_bytes(options.model.max_step_tokens);
  const auto slots = static_cast<uint64_t>(kCoverage * plan.num_slots());
  return fixed + (kv + slots + workspace / plan.frame_bytes + 1) * plan.frame_bytes;
}

double Median(std::vector<double> values) {
  SF_CHECK(!values.empty());
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Decode steps get slower as contexts grow: only the nearest ones tell what a reload costs.
constexpr size_t kNearSteps = 50;

enum class Nearest { kFirst, kLast };

void Row(const char* what, const std::vector<Sample>& samples, bool after, bool loading,
         Nearest nearest) {
  std::vector<double> times;
  for (const Sample& s : samples) {
    if (s.step_ms > 0 && s.after == after && s.loading == loading) times.push_back(s.step_ms);
  }
  const size_t kept = std::min(kNearSteps, times.size());
  if (nearest == Nearest::kFirst) {
    times.resize(kept);
  } else {
    times.erase(times.begin(), times.end() - static_cast<std::ptrdiff_t>(kept));
  }
  std::printf("| %s | %zu | %.3f | %.3f |\n", what, times.size(), Median(times),
              *std::max_element(times.begin(), times.end()));
}

void Print(const Bench& bench, const worker::PoolFigures& pool) {
  std::printf(
      "prefill of %u tokens in one step %.1f ms; reclaimed %llu frames, reloaded %llu "
      "records (%.1f MiB) in %.1f ms\n\n",
      kPromptTokens, bench.prefill_ms(), static_cast<unsigned long long>(pool.reclaims.count),
      static_cast<unsigned long long>(pool.reloads.count),
      static_cast<double>(pool.reloads.bytes) / (1 << 20), pool.reloads.seconds * 1e3);
  std::printf("| decode steps of %u sequences | steps | median ms | most ms |\n|---|---|---|---|\n",
              kStreams);
  Row("last before the long prompt", bench.samples(), false, false, Nearest::kLast);
  Row("while its frames are reloaded", bench.samples(), true, true, Nearest::kFirst);
  Row("first after the reload", bench.samples(), true, false, Nearest::kFirst);
}

int Main(int argc, char** argv) {
  const TempDir folder;
  WriteSyntheticCheckpoint({.vocab_size = kVocab,
                            .hidden_size = 256,
                            .num_layers = 8,
                            .num_experts = 128,
                            .num_experts_per_token = 4,
                            .moe_intermediate_size = 256,
                            .max_position_embeddings = 4096},
                           folder.path());
  LoadedModelOptions options = Options();
  options.device_bytes = ScarceBytes(folder.path(), options);
  const auto loaded = LoadedModel::Create(folder.path(), options);
  SF_CHECK_OK(loaded.status());
  Bench bench(*(*loaded)->model);
  bench.Run();
  Print(bench, (*loaded)->model->pool_figures());
  if (argc > 1) {
    std::ofstream file(argv[1]);
    file << "ms,coverage,step_ms\n";
    for (const Sample& s : bench.samples()) {
      file << s.at_ms << "," << s.coverage << "," << s.step_ms << "\n";
    }
  }
  return 0;
}

}  // namespace
}  // namespace spearfish::tests

int main(int argc, char** argv) { return spearfish::tests::Main(argc, argv); }
