// Decode tokens/s of the engine alone, by coverage and number of streams, on the test device
// (SPEARFISH_TEST_DEVICE). usage: decode_bench [CHECKPOINT]; without one, random weights.
#include <algorithm>
#include <cstdio>
#include <latch>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "common/base/check.h"
#include "common/tokenizer/tokenizer.h"
#include "tests/bench/small_moe.h"
#include "tests/golden/loaded_model.h"
#include "tests/support/synthetic_checkpoint.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_data.h"
#include "worker/engine/engine.h"

namespace spearfish::tests {
namespace {

constexpr uint32_t kTokens = 256;
constexpr int kRepetitions = 3;

void Run(worker::Engine& engine, uint32_t num_streams) {
  std::latch ended(num_streams);
  for (uint32_t i = 0; i < num_streams; ++i) {
    worker::GenerationRequest request;
    request.request_id = std::to_string(i);
    request.prompt = {1194, 258 + i, 1891, 1109, 415};
    request.stopping.max_tokens = kTokens;
    request.stopping.ignore_eos = true;
    SF_CHECK_OK(engine.Submit(std::move(request), [&ended](const worker::EngineEvent& event) {
      if (std::holds_alternative<worker::SequenceFinished>(event)) ended.count_down();
    }));
  }
  ended.wait();
}

struct Measured {
  double tokens_per_second = 0;
  double step_ms = 0;
  double hit_rate = 0;
};

Measured Measure(worker::Engine& engine, uint32_t num_streams) {
  Run(engine, num_streams);  // warms up
  Measured best;
  for (int i = 0; i < kRepetitions; ++i) {
    const worker::EngineStats before = engine.stats();
    const absl::Time begin = absl::Now();
    Run(engine, num_streams);
    const double seconds = absl::ToDoubleSeconds(absl::Now() - begin);
    SF_CHECK(engine.WaitIdle(absl::Seconds(10)));
    const worker::EngineStats after = engine.stats();
    if (num_streams * kTokens / seconds < best.tokens_per_second) continue;
    const auto hits = static_cast<double>(after.expert_hits - before.expert_hits);
    const auto misses = static_cast<double>(after.expert_misses - before.expert_misses);
    best = {.tokens_per_second = num_streams * kTokens / seconds,
            .step_ms = 1e3 * seconds / static_cast<double>(after.steps_total - before.steps_total),
            .hit_rate = hits / (hits + misses)};
  }
  return best;
}

void MeasureCoverage(const std::string& folder, double coverage) {
  LoadedModelOptions options;
  options.device_bytes = uint64_t{4} << 30;
  options.num_threads = 2;
  options.model.max_model_len = 1024;
  options.model.pool.max_coverage = coverage;
  const auto loaded = LoadedModel::Create(folder, options);
  SF_CHECK_OK(loaded.status());
  const auto tokenizer = Tokenizer::FromFile(BundledCheckpoint() + "/tokenizer.json");
  SF_CHECK_OK(tokenizer.status());
  const auto engine = worker::Engine::Create({}, *(*loaded)->model, **tokenizer);
  SF_CHECK_OK(engine.status());
  for (const uint32_t streams : {1u, 4u, 16u, 64u}) {
    const Measured m = Measure(**engine, streams);
    const worker::PoolFigures pool = (*loaded)->model->pool_figures();
    std::printf("| %.1f | %u | %.0f | %.3f | %.1f | %llu |\n", 100 * pool.coverage(), streams,
                m.tokens_per_second, m.step_ms, 100 * m.hit_rate,
                static_cast<unsigned long long>(pool.promotions.count));
    std::fflush(stdout);
  }
}

int Main(int argc, char** argv) {
  const TempDir made;
  if (argc < 2) WriteSyntheticCheckpoint(SmallMoe(), made.path());
  const std::string folder = argc < 2 ? made.path() : argv[1];
  std::printf(
      "| coverage %% | streams | tokens/s | step ms | hit rate %% | promotions so far |\n"
      "|---|---|---|---|---|---|\n");
  for (const double coverage : {0.0, 0.402, 1.0}) MeasureCoverage(folder, coverage);
  return 0;
}

}  // namespace
}  // namespace spearfish::tests

int main(int argc, char** argv) { return spearfish::tests::Main(argc, argv); }
