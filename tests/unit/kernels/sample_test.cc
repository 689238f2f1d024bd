#include "tests/reference/sample.h"

#include <cmath>
#include <limits>
#include <numeric>

#include "tests/unit/kernels/kernel_fixture.h"

namespace spearfish::kernels {
namespace {

class SampleTest : public KernelTest {
 protected:
  // One call over rows of `vocab` logits; every pointer is filled in.
  std::vector<int32_t> Run(const std::vector<float>& logits, const std::vector<SampleRow>& rows,
                           const std::vector<int32_t>& history = {},
                           const std::vector<LogitBias>& biases = {}) {
    const auto num_rows = static_cast<uint32_t>(rows.size());
    const auto vocab = static_cast<uint32_t>(logits.size() / rows.size());
    GuardedArray<char> workspace(*device_, kernels_->SampleWorkspaceBytes(num_rows, vocab));
    GuardedArray<int32_t> out(*device_, num_rows);
    args_ = {.logits = logits.data(),
             .rows = rows.data(),
             .history = history.data(),
             .biases = biases.data(),
             .out_tokens = out.data(),
             .workspace = workspace.data(),
             .num_rows = num_rows,
             .vocab = vocab};
    RunAndReplay<int32_t>([&](Stream& stream) { kernels_->Sample(args_, stream); }, {&out});
    EXPECT_TRUE(workspace.GuardsIntact());
    return out.Copy();
  }

  SampleArgs args_{};  // of the last Run, for the oracle
};
INSTANTIATE_TEST_SUITE_P(Cpu, SampleTest, ::testing::ValuesIn(AllKernelParams()), ParamName);

TEST_P(SampleTest, GreedyTakesTheLargestAndTheLowerOfTies) {
  for (const size_t vocab : {1u, 2u, 33u, 1000u, 50003u}) {
    std::vector<float> logits = RandomFloats(vocab);
    const size_t at = vocab / 2;
    logits[at] = 50.0f;
    logits.back() = 50.0f;
    EXPECT_EQ(Run(logits, {SampleRow{}}), std::vector<int32_t>{static_cast<int32_t>(at)});
  }
}

TEST_P(SampleTest, MatchesOracleForEveryMixOfFilters) {
  constexpr size_t kVocab = 1009;
  std::vector<SampleRow> rows;
  for (const float temperature : {0.0f, 0.3f, 1.0f, 5.0f}) {
    for (const float top_p : {0.0f, 0.5f, 0.99f, 1.0f}) {
      for (const float min_p : {0.0f, 0.01f, 0.5f}) {
        for (const uint32_t top_k : {0u, 1u, 40u, 700u, 9999u}) {
          rows.push_back({.temperature = temperature,
                          .top_p = top_p,
                          .min_p = min_p,
                          .top_k = top_k,
                          .seed = 11,
                          .counter = rows.size()});
        }
      }
    }
  }
  for (const float deviation : {0.1f, 3.0f}) {  // flat and peaked
    const std::vector<float> logits = RandomFloats(rows.size() * kVocab, deviation);
    const std::vector<int32_t> tokens = Run(logits, rows);
    EXPECT_EQ(tokens, reference::Sample(args_));
  }
}

TEST_P(SampleTest, MatchesOracleWithPenaltiesAndBiases) {
  constexpr size_t kVocab = 500;
  constexpr uint32_t kRows = 64;
  std::vector<int32_t> history;
  std::vector<LogitBias> biases;
  std::vector<SampleRow> rows;
  for (uint32_t r = 0; r < kRows; ++r) {
    SampleRow row{.temperature = r % 2 == 0 ? 0.0f : 0.9f,
                  .top_p = 0.95f,
                  .presence_penalty = r % 3 == 0 ? 1.5f : 0.0f,
                  .frequency_penalty = r % 5 == 0 ? 0.7f : -0.2f,
                  .repetition_penalty = r % 7 == 0 ? 1.0f : 1.3f,
                  .history_begin = static_cast<uint32_t>(history.size()),
                  .num_prompt = r % 4 * 30,
                  .num_generated = r % 6 * 20,
                  .bias_begin = static_cast<uint32_t>(biases.size()),
                  .num_biases = r % 9,
                  .seed = r,
                  .counter = 3};
    for (uint32_t i = 0; i < row.num_prompt + row.num_generated; ++i) {
      history.push_back(RandomInt(60));  // many repeats
    }
    for (uint32_t i = 0; i < row.num_biases; ++i) {
      const float bias = i == 2 ? -std::numeric_limits<float>::infinity() : RandomFloats(1)[0];
      biases.push_back({.token = static_cast<uint32_t>(RandomInt(kVocab)), .bias = bias});
    }
    rows.push_back(row);
  }
  const std::vector<float> logits = RandomFloats(kRows * kVocab, 2.0f);
  const std::vector<int32_t> tokens = Run(logits, rows, history, biases);
  EXPECT_EQ(tokens, reference::Sample(args_));
}

TEST_P(SampleTest, PenaltiesChangeWhatTheySayTheyChange) {
  // Token 1 was in the prompt, token 2 generated twice.
  const std::vector<float> logits = {1.0f, 2.0f, 3.0f, 1.5f};
  const std::vector<int32_t> history = {1, 2, 2};
  SampleRow row{.num_prompt = 1, .num_generated = 2};
  EXPECT_EQ(Run(logits, {row}, history)[0], 2);
  row.presence_penalty = 1.2f;  // 3 -> 1.8; the prompt's token keeps 2
  EXPECT_EQ(Run(logits, {row}, history)[0], 1);
  row.presence_penalty = 0.0f;
  row.frequency_penalty = 0.6f;  // 3 -> 1.8
  EXPECT_EQ(Run(logits, {row}, history)[0], 1);
  row.frequency_penalty = 0.0f;
  row.repetition_penalty = 2.5f;  // 2 -> 0.8, 3 -> 1.2
  EXPECT_EQ(Run(logits, {row}, history)[0], 3);
}

TEST_P(SampleTest, BanLeavesNoChanceAtAnyTemperature) {
  const std::vector<float> logits = {0.0f, 30.0f, 0.0f, 0.0f};
  const std::vector<LogitBias> biases = {{1, -std::numeric_limits<float>::infinity()}};
  for (const float temperature : {0.0f, 1.0f, 100.0f}) {
    for (uint64_t counter = 0; counter < 50; ++counter) {
      const SampleRow row{.temperature = temperature, .num_biases = 1, .counter = counter};
      EXPECT_NE(Run(logits, {row}, {}, biases)[0], 1);
    }
  }
}

TEST_P(SampleTest, NonFiniteLogitsAreNeverChosen) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  std::vector<float> logits(100, NAN);
  logits[10] = kInf;
  logits[20] = -kInf;
  logits[63] = -5.0f;
  const std::vector<float> none(100, NAN);
  for (const float temperature : {0.0f, 1.0f}) {
    for (const uint32_t top_k : {0u, 5u}) {
      const SampleRow row{.temperature = temperature, .top_p = 0.9f, .top_k = top_k};
      EXPECT_EQ(Run(logits, {row})[0], 63);
      EXPECT_EQ(Run(none, {row})[0], 0);
    }
  }
}

TEST_P(SampleTest, TokensOutsideTheVocabularyAreIgnored) {
  const std::vector<float> logits = {0.0f, 1.0f, 0.5f, 0.0f};
  const std::vector<int32_t> history = {-1, 4, 1000000};
  const std::vector<LogitBias> biases = {{4, 100.0f}};
  const SampleRow row{
      .repetition_penalty = 2.0f, .num_prompt = 1, .num_generated = 2, .num_biases = 1};
  EXPECT_EQ(Run(logits, {row}, history, biases)[0], 1);
}

TEST_P(SampleTest, SameSeedAndCounterSameTokenWhateverTheBatch) {
  constexpr size_t kVocab = 1000;
  constexpr uint32_t kRows = 20;
  const std::vector<float> one = RandomFloats(kVocab);
  std::vector<float> logits;
  std::vector<SampleRow> rows;
  for (uint32_t r = 0; r < kRows; ++r) {
    logits.insert(logits.end(), one.begin(), one.end());
    rows.push_back({.temperature = 1.0f, .seed = 5, .counter = r});
  }
  const std::vector<int32_t> together = Run(logits, rows);
  for (uint32_t r = 0; r < kRows; ++r) EXPECT_EQ(Run(one, {rows[r]})[0], together[r]);
  EXPECT_GT(std::accumulate(together.begin(), together.end(), 0), 0);
}

TEST_P(SampleTest, TinyTemperatureIsGreedy) {
  const std::vector<float> logits = RandomFloats(2000, 100.0f);
  const int32_t best = Run(logits, {SampleRow{}})[0];
  EXPECT_EQ(Run(logits, {SampleRow{.temperature = 1e-30f, .seed = 3}})[0], best);
  EXPECT_EQ(Run(logits, {SampleRow{.temperature = 1e-3f, .top_p = 0.9f, .seed = 3}})[0], best);
}

TEST_P(SampleTest, HugeTemperatureIsUniform) {
  const std::vector<float> logits = RandomFloats(64, 10.0f);
  std::vector<int> seen(64, 0);
  for (uint64_t counter = 0; counter < 64; ++counter) {
    const SampleRow row{.temperature = 1e30f, .counter = counter};
    ++seen[static_cast<size_t>(Run(logits, {row})[0])];
  }
  EXPECT_LT(*std::max_element(seen.begin(), seen.end()), 10);
}

// Pearson's chi-square of 6,000 draws against the oracle's distribution: its mean is the degrees
// of freedom f, its deviation sqrt(2 f); five deviations are a chance of less than 1e-5, and the
// draws are fixed by the seed.
void ExpectDistribution(const std::vector<reference::TokenProbability>& expected,
                        const std::vector<int32_t>& tokens) {
  std::vector<double> seen(1 << 16, 0.0);
  for (const int32_t token : tokens) ++seen[static_cast<size_t>(token)];
  double chi_square = 0.0;
  double covered = 0.0;
  for (const auto& [token, probability] : expected) {
    const double mean = probability * static_cast<double>(tokens.size());
    const double off = seen[static_cast<size_t>(token)] - mean;
    chi_square += off * off / mean;
    covered += seen[static_cast<size_t>(token)];
  }
  EXPECT_EQ(covered, static_cast<double>(tokens.size())) << "a token outside the filters";
  const auto freedom = static_cast<double>(expected.size() - 1);
  EXPECT_LT(chi_square, freedom + 5 * std::sqrt(2 * freedom) + 5);
}

TEST_P(SampleTest, DrawsFollowTheFilteredDistribution) {
  constexpr size_t kVocab = 24;
  constexpr uint32_t kDraws = 6000;
  const std::vector<float> one = RandomFloats(kVocab, 1.0f);
  const SampleRow settings[] = {
      {.temperature = 1.0f},
      {.temperature = 0.7f},
      {.temperature = 1.5f, .top_k = 10},
      {.temperature = 1.0f, .top_p = 0.8f},
      {.temperature = 1.0f, .min_p = 0.1f},
      {.temperature = 1.2f, .top_p = 0.9f, .min_p = 0.05f, .top_k = 15},
  };
  std::vector<float> logits;
  for (uint32_t i = 0; i < kDraws; ++i) logits.insert(logits.end(), one.begin(), one.end());
  for (SampleRow row : settings) {
    std::vector<SampleRow> rows;
    row.seed = 1234;
    for (row.counter = 0; row.counter < kDraws; ++row.counter) rows.push_back(row);
    const std::vector<int32_t> tokens = Run(logits, rows);
    ExpectDistribution(reference::Distribution(args_, 0), tokens);
  }
}

}  // namespace
}  // namespace spearfish::kernels
