// The pool changes where experts are read from, never what comes out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/tokenizer/tokenizer.h"
#include "tests/golden/loaded_model.h"
#include "tests/golden/sequence_runner.h"
#include "tests/integration/pool/request_mix.h"
#include "tests/support/test_data.h"

namespace spearfish::worker {
namespace {

using tests::LoadedModel;
using tests::LoadedModelOptions;
using tests::RequestMix;

// Steps that the stress runs at least; the long run is asked for by the environment.
uint64_t StressSteps() {
  const char* text = std::getenv("SPEARFISH_STRESS_STEPS");
  return text == nullptr ? 400 : std::strtoull(text, nullptr, 10);
}

std::unique_ptr<LoadedModel> Load(const LoadedModelOptions& options) {
  auto loaded = LoadedModel::Create(tests::BundledCheckpoint(), options);
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  return loaded.ok() ? *std::move(loaded) : nullptr;
}

TEST(PoolOutputs, DoNotDependOnCoverage) {
  const std::vector<std::vector<TokenId>> prompts = {
      {5, 900, 17, 3, 44, 1200, 8}, {77, 78, 79}, std::vector<TokenId>(90, 31)};
  std::vector<tests::RunOutput> expected;
  for (const double coverage : {0.0, 0.1, 0.402, 1.0}) {
    LoadedModelOptions options;
    options.model.max_model_len = 256;
    options.model.pool.max_coverage = coverage;
    options.model.pool.check_table = true;
    const auto loaded = Load(options);
    ASSERT_NE(loaded, nullptr);
    const PoolFigures before = loaded->model->pool_figures();
    EXPECT_NEAR(before.coverage(), coverage, 1.0 / 64) << coverage;
    const auto outputs = tests::SequenceRunner(*loaded->model)
                             .Run(prompts, {.chunk_tokens = 33, .num_generated = 24, .top_n = 8});
    if (expected.empty()) expected = outputs;
    for (size_t i = 0; i < prompts.size(); ++i) {
      EXPECT_EQ(outputs[i].generated, expected[i].generated) << coverage;
      EXPECT_EQ(outputs[i].generated_logprobs, expected[i].generated_logprobs) << coverage;
      EXPECT_EQ(outputs[i].prompt_logprobs, expected[i].prompt_logprobs) << coverage;
      EXPECT_EQ(outputs[i].top_logprobs, expected[i].top_logprobs) << coverage;
    }
    const PoolFigures after = loaded->model->pool_figures();
    uint64_t hits = 0;
    uint64_t misses = 0;
    for (const LayerFigures& layer : after.layers) {
      hits += layer.hits;
      misses += layer.misses;
    }
    const uint64_t rows = 7 + 3 + 90 + 3 * 23;
    EXPECT_EQ(hits + misses, rows * 4 * 2);  // layers, experts a token
    EXPECT_EQ(hits == 0, coverage == 0.0);
    EXPECT_EQ(misses == 0, coverage == 1.0);
  }
}

// A device so small that experts, KV blocks and long prefills fight for frames.
LoadedModelOptions Scarce() {
  LoadedModelOptions options;
  options.model.max_model_len = 320;
  options.model.max_step_tokens = 16;
  options.model.max_step_sequences = 6;
  options.model.max_borrowed_step_tokens = 160;
  options.model.hard_share = 0.2;
  options.model.pool.check_table = true;
  options.model.pool.batch_bytes = 128 << 10;
  options.model.pool.max_bytes_in_flight = 256 << 10;
  const auto roomy = Load(options);
  if (roomy == nullptr) return options;
  const ArenaPlan& plan = roomy->model->arena_plan();
  const uint64_t fixed =
      roomy->device->allocated_bytes() - uint64_t{plan.num_frames()} * plan.frame_bytes;
  const uint64_t kv = uint64_t{(320 / 16 + plan.blocks_per_extent - 1) / plan.blocks_per_extent} *
                      plan.frames_per_extent;
  const uint64_t base_workspace = roomy->model->workspace_bytes(16) / plan.frame_bytes + 1;
  options.device_bytes = fixed + (kv + base_workspace + 30) * plan.frame_bytes;
  return options;
}

TEST(PoolOutputs, StayWhileFramesChangeHands) {
  const auto tokenizer = Tokenizer::FromFile(tests::BundledCheckpoint() + "/tokenizer.json");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  RequestMix mix({.num_requests = 20, .max_prompt = 250, .max_tokens = 30, .vocab = 2000});
  {
    LoadedModelOptions cold;
    cold.model.max_model_len = 320;
    cold.model.pool.max_coverage = 0;
    const auto reference = Load(cold);
    ASSERT_NE(reference, nullptr);
    mix.RunReference(*reference->model, **tokenizer);
  }
  const auto loaded = Load(Scarce());
  ASSERT_NE(loaded, nullptr);
  const ArenaPlan& plan = loaded->model->arena_plan();
  ASSERT_EQ(plan.num_slots(), 30u);
  ASSERT_GT(plan.num_borrowed, 0u);
  ASSERT_GT(plan.num_claimable_extents, 0u);
  mix.RunAgainstReference(*loaded->model, **tokenizer, StressSteps());

  const PoolFigures figures = loaded->model->pool_figures();
  EXPECT_GT(figures.promotions.count, 0u);
  EXPECT_GT(figures.reclaims.count, 0u);
  EXPECT_GT(figures.reloads.count, 0u);
  EXPECT_GT(mix.num_compared(), 10u);
  RecordProperty("compared", absl::StrCat(mix.num_compared()));
  std::printf(
      "%llu requests compared; %llu promotions, %llu reclaims, %llu reloads, %llu cancelled\n",
      static_cast<unsigned long long>(mix.num_compared()),
      static_cast<unsigned long long>(figures.promotions.count),
      static_cast<unsigned long long>(figures.reclaims.count),
      static_cast<unsigned long long>(figures.reloads.count),
      static_cast<unsigned long long>(figures.cancelled_loads));
}

}  // namespace
}  // namespace spearfish::worker
