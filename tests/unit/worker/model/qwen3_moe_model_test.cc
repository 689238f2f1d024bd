#include "worker/model/qwen3_moe_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "common/expert_cache/cache_plan.h"
#include "kernels/cpu/cpu_device.h"
#include "tests/golden/loaded_model.h"
#include "tests/golden/sequence_runner.h"
#include "tests/reference/qwen3_moe.h"
#include "tests/support/synthetic_checkpoint.h"
#include "worker/model/model_factory.h"

namespace spearfish::worker {
namespace {

using tests::LoadedModel;
using tests::LoadedModelOptions;
using tests::RunOptions;
using tests::RunOutput;
using tests::SequenceRunner;
using tests::SyntheticOptions;

// Of a log-probability: float32 sums and 16-bit activations through two to four layers.
constexpr double kLogprobTolerance = 5e-4;
constexpr uint32_t kVocab = 96;  // below kMaxTopLogprobs: the top n are the whole vocabulary

std::vector<TokenId> SomePrompt(size_t length, TokenId first = 3) {
  std::vector<TokenId> ids(length);
  for (size_t i = 0; i < length; ++i) ids[i] = static_cast<TokenId>((first + i * i * 7) % kVocab);
  return ids;
}

// Writes the checkpoint into `dir` and loads it.
std::unique_ptr<LoadedModel> LoadSynthetic(const tests::TempDir& dir, SyntheticOptions synthetic,
                                           const LoadedModelOptions& options = {}) {
  synthetic.vocab_size = kVocab;
  tests::WriteSyntheticCheckpoint(synthetic, dir.path());
  auto loaded = LoadedModel::Create(dir.path(), options);
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  return loaded.ok() ? *std::move(loaded) : nullptr;
}

// log softmax of one row of the oracle's logits.
std::vector<double> LogSoftmax(const std::vector<double>& logits, size_t row) {
  const auto begin = logits.begin() + static_cast<ptrdiff_t>(row * kVocab);
  std::vector<double> out(begin, begin + kVocab);
  double sum = 0;
  for (const double v : out) sum += std::exp(v);
  for (double& v : out) v -= std::log(sum);
  return out;
}

struct Variant {
  const char* name;
  SyntheticOptions checkpoint;
  QuantOptions quant = {.bits = 4, .scale = ScaleMode::kMse};
  uint32_t dense_bits = 16;

  friend void PrintTo(const Variant& variant, std::ostream* out) { *out << variant.name; }
};

class Qwen3MoeModelOracleTest : public testing::TestWithParam<Variant> {};

TEST_P(Qwen3MoeModelOracleTest, ForwardIsTheOracles) {
  const tests::TempDir dir;
  const uint32_t dense_bits = GetParam().dense_bits;
  const auto loaded =
      LoadSynthetic(dir, GetParam().checkpoint,
                    {.quant = GetParam().quant, .model = {.dense = {.bits = dense_bits}}});
  ASSERT_NE(loaded, nullptr);
  const std::vector<TokenId> prompt = SomePrompt(37);
  const tests::OracleOutput oracle =
      tests::Qwen3MoeOracle(*loaded->checkpoint, loaded->cache->cache(), dense_bits).Run(prompt);

  SequenceRunner runner(*loaded->model);
  const RunOutput run = runner.Run(prompt, {.num_generated = 1, .top_n = kVocab});
  for (size_t t = 0; t + 1 < prompt.size(); ++t) {
    EXPECT_NEAR(run.prompt_logprobs[t], LogSoftmax(oracle.logits, t)[prompt[t + 1]],
                kLogprobTolerance)
        << "position " << t;
  }
  const std::vector<double> last = LogSoftmax(oracle.logits, prompt.size() - 1);
  ASSERT_EQ(run.top_ids.size(), kVocab);
  for (size_t n = 0; n < kVocab; ++n) {
    EXPECT_NEAR(run.top_logprobs[n], last[run.top_ids[n]], kLogprobTolerance);
  }
  EXPECT_EQ(run.generated[0], run.top_ids[0]);

  ASSERT_EQ(run.last_experts.size(), oracle.router_probabilities.size());
  const size_t num_experts = loaded->model->config().num_experts;
  for (size_t layer = 0; layer < run.last_experts.size(); ++layer) {
    const auto p = std::span(oracle.router_probabilities[layer]).last(num_experts);
    double least_chosen = 1;
    for (const int32_t e : run.last_experts[layer]) least_chosen = std::min(least_chosen, p[e]);
    const auto more_likely =
        std::count_if(p.begin(), p.end(), [&](double v) { return v > least_chosen; });
    EXPECT_EQ(static_cast<size_t>(more_likely) + 1, run.last_experts[layer].size());
  }
}

INSTANTIATE_TEST_SUITE_P(
    Variants, Qwen3MoeModelOracleTest,
    testing::Values(
        Variant{"Plain", {}},  //
        Variant{"Int8", {}, {.bits = 8, .scale = ScaleMode::kAbsmax}},
        Variant{"FusedExperts", {.experts = tests::ExpertStorage::kFused}},
        Variant{"TiedHead", {.tie_word_embeddings = true}},
        Variant{"AttentionBias", {.attention_bias = true}},
        Variant{"UnnormalisedTopK", {.num_experts_per_token = 3, .norm_topk_prob = false}},
        Variant{"EveryExpert", {.num_experts = 5, .num_experts_per_token = 5}},
        Variant{"OneExpertATokenOddCount", {.num_experts = 3, .num_experts_per_token = 1}},
        Variant{"MlpOnlyLayers", {.num_layers = 4, .mlp_only_layers = {0, 2}}},
        Variant{"SparseStep", {.num_layers = 4, .decoder_sparse_step = 2}},
        Variant{"ImpliedHeadDim", {.write_head_dim = false}},
        Variant{"WideHeads", {.num_heads = 3, .num_kv_heads = 1, .head_dim = 80}},
        Variant{"SmallSlices", {.hidden_size = 64, .moe_intermediate_size = 192}},
        Variant{"Float16", {.dtype = DType::kF16}},  //
        Variant{"Float32", {.dtype = DType::kF32}}, Variant{"LargeTheta", {.rope_theta = 1e6f}},
        Variant{"DenseInt8", {}, {.bits = 4}, 8},
        Variant{"DenseInt8TiedHead", {.tie_word_embeddings = true}, {.bits = 4}, 8},
        Variant{"DenseInt8AttentionBias", {.attention_bias = true}, {.bits = 4}, 8},
        Variant{
            "DenseInt8MlpOnlyLayers", {.num_layers = 4, .mlp_only_layers = {0, 2}}, {.bits = 4}, 8},
        Variant{"DenseInt8Float32", {.dtype = DType::kF32}, {.bits = 4}, 8}),
    [](const auto& test) { return test.param.name; });

class Qwen3MoeModelTest : public testing::Test {
 protected:
  void Load(const SyntheticOptions& checkpoint, const LoadedModelOptions& options = {}) {
    loaded_ = LoadSynthetic(dir_, checkpoint, options);
    ASSERT_NE(loaded_, nullptr);
  }
  Qwen3MoeModel& model() { return *loaded_->model; }

  const tests::TempDir dir_;
  std::unique_ptr<LoadedModel> loaded_;
};

TEST_F(Qwen3MoeModelTest, ServesAStepWithoutSequences) {
  ASSERT_NO_FATAL_FAILURE(Load({}));
  StepOutput output;
  output.tokens = {1, 2, 3};
  model().Forward({}, output);
  EXPECT_TRUE(output.tokens.empty());
  EXPECT_TRUE(output.expert_ids.empty());
}

TEST_F(Qwen3MoeModelTest, StepsAllocateNothingOnTheDevice) {
  ASSERT_NO_FATAL_FAILURE(Load({}));
  const uint64_t before = loaded_->device->allocated_bytes();
  SequenceRunner(model()).Run(SomePrompt(100), {.num_generated = 4, .top_n = 8});
  EXPECT_EQ(loaded_->device->allocated_bytes(), before);
}

TEST_F(Qwen3MoeModelTest, LogitChunksDoNotChangeAnything) {
  std::vector<std::vector<RunOutput>> runs;
  for (const uint32_t rows : {1u, 7u, 64u}) {
    ASSERT_NO_FATAL_FAILURE(Load({}, {.model = {.logit_chunk_rows = rows}}));
    SequenceRunner runner(model());
    runs.push_back(runner.Run({SomePrompt(9), SomePrompt(30, 5), SomePrompt(17, 8)},
                              {.num_generated = 3, .top_n = 5, .sampling = {.temperature = 1.0f}}));
  }
  for (const std::vector<RunOutput>& run : runs) {
    for (size_t s = 0; s < run.size(); ++s) {
      EXPECT_EQ(run[s].prompt_logprobs, runs[0][s].prompt_logprobs);
      EXPECT_EQ(run[s].generated, runs[0][s].generated);
      EXPECT_EQ(run[s].generated_logprobs, runs[0][s].generated_logprobs);
      EXPECT_EQ(run[s].top_ids, runs[0][s].top_ids);
    }
  }
}

TEST_F(Qwen3MoeModelTest, SampledTokensDependOnSeedNotOnTheBatch) {
  ASSERT_NO_FATAL_FAILURE(Load({}));
  SequenceRunner runner(model());
  const RunOptions options{.num_generated = 12, .sampling = {.temperature = 1.5f, .seed = 9}};
  const RunOutput alone = runner.Run(SomePrompt(11), options);
  EXPECT_EQ(runner.Run({SomePrompt(20, 4), SomePrompt(11), SomePrompt(3, 6)}, options)[1].generated,
            alone.generated);
  EXPECT_NE(
      runner
          .Run(SomePrompt(11), {.num_generated = 12, .sampling = {.temperature = 1.5f, .seed = 10}})
          .generated,
      alone.generated);
}

// A step of one sequence, with the last row sampled.
struct OneSequenceStep {
  explicit OneSequenceStep(std::vector<TokenId> ids) : tokens(std::move(ids)) {
    for (uint32_t b = 0; b * 16 < tokens.size(); ++b) blocks.push_back(b);
    sequence = {.token_ids = tokens,
                .context_len = static_cast<uint32_t>(tokens.size()),
                .block_table = blocks};
    row.row = static_cast<uint32_t>(tokens.size() - 1);
    row.sample = true;
  }
  OneSequenceStep(const OneSequenceStep&) = delete;
  OneSequenceStep& operator=(const OneSequenceStep&) = delete;

  StepInput input() const {
    return {
        .sequences = {&sequence, 1}, .logit_rows = {&row, 1}, .history = history, .biases = biases};
  }

  std::vector<TokenId> tokens;
  std::vector<uint32_t> blocks;
  StepSequence sequence;
  StepLogitRow row;
  std::vector<int32_t> history;
  std::vector<kernels::LogitBias> biases;
};

TEST_F(Qwen3MoeModelTest, HistoryAndBiasesReachTheSampler) {
  ASSERT_NO_FATAL_FAILURE(Load({}));
  OneSequenceStep step(SomePrompt(5));
  StepOutput output;
  model().Forward(step.input(), output);
  const TokenId likely = output.tokens[0];

  step.biases = {{.token = likely, .bias = -INFINITY}};
  step.row.sampling.num_biases = 1;
  model().Forward(step.input(), output);
  EXPECT_NE(output.tokens[0], likely);

  step.biases.clear();
  step.row.sampling = {.presence_penalty = 100.0f, .num_generated = 1};
  step.history = {static_cast<int32_t>(likely)};
  model().Forward(step.input(), output);
  EXPECT_NE(output.tokens[0], likely);
}

TEST_F(Qwen3MoeModelTest, LogprobsComeOnlyWhenAskedFor) {
  ASSERT_NO_FATAL_FAILURE(Load({}));
  const OneSequenceStep step(SomePrompt(5));
  StepInput input = step.input();
  input.logprobs = true;
  input.top_n = 3;
  StepOutput output;
  model().Forward(input, output);
  EXPECT_EQ(output.logprobs.size(), 1u);
  EXPECT_EQ(output.ranks, std::vector<uint32_t>{1});
  EXPECT_EQ(output.top_ids.size(), 3u);
  EXPECT_EQ(output.top_ids[0], output.tokens[0]);
  EXPECT_EQ(output.top_logprobs[0], output.logprobs[0]);
  model().Forward(step.input(), output);
  EXPECT_EQ(output.tokens.size(), 1u);
  EXPECT_TRUE(output.logprobs.empty());
  EXPECT_TRUE(output.top_ids.empty());
}

TEST_F(Qwen3MoeModelTest, CountersAndIdsTellTheSameRouting) {
  ASSERT_NO_FATAL_FAILURE(Load({.num_layers = 3, .num_experts = 7, .mlp_only_layers = {1}}));
  const OneSequenceStep step(SomePrompt(21));
  StepOutput output;
  model().Forward(step.input(), output);
  ASSERT_EQ(output.expert_ids.size(), 2u * 21 * 2);
  EXPECT_EQ(output.expert_hits, std::vector<uint32_t>(21, 2 * 2));  // everything is in slots

  auto stream = loaded_->device->CreateStream("read");
  ASSERT_TRUE(stream.ok());
  ActivationCounters& counters = model().experts().activation_counters();
  counters.EnqueueRead(**stream);
  (*stream)->Synchronize();
  for (uint32_t layer = 0; layer < 2; ++layer) {
    std::vector<uint32_t> counted(7, 0);
    for (const int32_t e : std::span(output.expert_ids).subspan(size_t{layer} * 42, 42)) {
      ++counted[static_cast<size_t>(e)];
    }
    EXPECT_THAT(counters.counts(layer), testing::ElementsAreArray(counted));
  }
}

TEST_F(Qwen3MoeModelTest, AnExpertMayMoveBetweenSteps) {
  ASSERT_NO_FATAL_FAILURE(Load({}));
  const OneSequenceStep step(SomePrompt(13));
  StepInput input = step.input();
  input.logprobs = true;
  StepOutput before;
  model().Forward(input, before);

  auto stream = loaded_->device->CreateStream("load");
  ASSERT_TRUE(stream.ok());
  const size_t record_bytes = model().expert_record_bytes();
  auto slots = loaded_->device->Allocate(8 * record_bytes, "slots");
  ASSERT_TRUE(slots.ok()) << slots.status();
  for (uint32_t e = 0; e < 8; ++e) {
    std::byte* slot = (*slots)->as<std::byte>() + e * record_bytes;
    (*stream)->Copy(slot, loaded_->cache->cache().Record(LayerId{1}, ExpertId{e}).data(),
                    record_bytes);
    model().experts().table().Set(1, ExpertId{e}, reinterpret_cast<uint64_t>(slot));
  }
  model().experts().table().Flush(**stream);
  (*stream)->Synchronize();
  StepOutput after;
  model().Forward(input, after);
  EXPECT_EQ(after.logprobs, before.logprobs);

  // The address counts, not the cache: an overwritten slot changes the answer.
  (*stream)->Fill((*slots)->data(), 0x5a, 8 * record_bytes);
  (*stream)->Synchronize();
  model().Forward(input, after);
  EXPECT_NE(after.logprobs, before.logprobs);
}

TEST_F(Qwen3MoeModelTest, TheFactoryKnowsTheArchitecture) {
  ASSERT_NO_FATAL_FAILURE(Load({}));
  const auto model = CreateModel(*loaded_->checkpoint, loaded_->cache->cache(), *loaded_->device,
                                 *loaded_->kernels, {.max_step_sequences = 2});
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ((*model)->max_step_sequences(), 2u);
  EXPECT_EQ((*model)->config().vocab_size, kVocab);
}

TEST_F(Qwen3MoeModelTest, KvBlocksAreWhatSequencesCanUseOrTheBudgetLeaves) {
  ASSERT_NO_FATAL_FAILURE(Load({}, {.model = {.max_model_len = 100, .max_step_sequences = 3}}));
  const uint32_t per_extent = model().kv_blocks().blocks_per_extent();
  EXPECT_GE(model().num_reserved_kv_blocks(), 3u * 7);
  EXPECT_LT(model().num_reserved_kv_blocks(), 3u * 7 + per_extent);
  ASSERT_NO_FATAL_FAILURE(Load({}, {.model = {.max_step_tokens = 64}, .device_bytes = 5 * kMiB}));
  EXPECT_LT(model().num_kv_blocks(), 64u * 32);
  EXPECT_GE(model().num_reserved_kv_blocks(), 32u);
  const uint64_t extent_bytes =
      uint64_t{model().arena_plan().frames_per_extent} * model().expert_record_bytes();
  EXPECT_LE(loaded_->device->info().budget_bytes - loaded_->device->allocated_bytes(),
            extent_bytes);
  ASSERT_NO_FATAL_FAILURE(Load({}, {.model = {.kv_blocks = 40}}));
  EXPECT_EQ(model().num_kv_blocks(), model().num_reserved_kv_blocks());
  EXPECT_GE(model().num_kv_blocks(), 40u);
  EXPECT_LT(model().num_kv_blocks(), 40u + per_extent);
}

TEST_F(Qwen3MoeModelTest, SaysWhenTheBudgetDoesNotHoldOneSequence) {
  ASSERT_NO_FATAL_FAILURE(Load({}));
  const uint64_t without_arena =
      loaded_->device->allocated_bytes() -
      uint64_t{model().arena_plan().num_frames()} * model().expert_record_bytes();
  const auto device = kernels::CpuDevice::Create({.budget_bytes = without_arena + 64 * kKiB});
  ASSERT_TRUE(device.ok()) << device.status();
  const absl::Status status = Qwen3MoeModel::Create(*loaded_->checkpoint, loaded_->cache->cache(),
                                                    **device, *loaded_->kernels, {})
                                  .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("--max-model-len"));
}

TEST_F(Qwen3MoeModelTest, RefusesACacheOfAnotherModel) {
  ASSERT_NO_FATAL_FAILURE(Load({}));
  for (const SyntheticOptions& other :
       {SyntheticOptions{.hidden_size = 64}, SyntheticOptions{.num_layers = 3},
        SyntheticOptions{.num_experts = 4}, SyntheticOptions{.moe_intermediate_size = 64},
        SyntheticOptions{.mlp_only_layers = {0}}}) {
    const tests::TempDir dir;
    const auto foreign = LoadSynthetic(dir, other);
    ASSERT_NE(foreign, nullptr);
    const absl::Status status = Qwen3MoeModel::Create(*loaded_->checkpoint, foreign->cache->cache(),
                                                      *loaded_->device, *loaded_->kernels, {})
                                    .status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr("run spearfish-pack again"));
  }
}

class Qwen3MoeModelDeathTest : public Qwen3MoeModelTest {
 protected:
  // The device's threads run: the child starts the test anew instead of forking them.
  Qwen3MoeModelDeathTest() { testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

TEST_F(Qwen3MoeModelDeathTest, ChecksTheNumberOfTopLogprobs) {
  ASSERT_NO_FATAL_FAILURE(Load({}));
  const OneSequenceStep step(SomePrompt(5));
  StepInput input = step.input();
  input.logprobs = true;
  input.top_n = kVocab + 1;
  StepOutput output;
  EXPECT_DEATH(model().Forward(input, output), "top_n");
}

}  // namespace
}  // namespace spearfish::worker
