#include "tests/reference/sample.h"

#include <cmath>
#include <limits>
#include <numeric>

#include "tests/gpu/gpu_fixture.h"

namespace spearfish::kernels {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

class GpuSampleTest : public GpuKernelTest {
 protected:
  std::vector<int32_t> Run(const std::vector<float>& logits, const std::vector<SampleRow>& rows,
                           const std::vector<int32_t>& history = {0},
                           const std::vector<LogitBias>& biases = {{0, 0.0f}}) {
    const auto num_rows = static_cast<uint32_t>(rows.size());
    const auto vocab = static_cast<uint32_t>(logits.size() / rows.size());
    GuardedBytes workspace = Output(kernels_->SampleWorkspaceBytes(num_rows, vocab));
    GuardedBytes out = Output(num_rows * sizeof(int32_t));
    const SampleArgs args = {.logits = Upload(logits),
                             .rows = Upload(rows),
                             .history = Upload(history),
                             .biases = Upload(biases),
                             .out_tokens = out.as<int32_t>(),
                             .workspace = workspace.data(),
                             .num_rows = num_rows,
                             .vocab = vocab};
    RunAndReplay([&](Stream& stream) { kernels_->Sample(args, stream); }, {&out});
    EXPECT_TRUE(workspace.GuardsIntact());
    return Values<int32_t>(out);
  }

  // The oracle's tokens for the same arguments in host memory.
  static std::vector<int32_t> Expected(const std::vector<float>& logits,
                                       const std::vector<SampleRow>& rows,
                                       const std::vector<int32_t>& history = {},
                                       const std::vector<LogitBias>& biases = {}) {
    return reference::Sample({.logits = logits.data(),
                              .rows = rows.data(),
                              .history = history.data(),
                              .biases = biases.data(),
                              .out_tokens = nullptr,
                              .workspace = nullptr,
                              .num_rows = static_cast<uint32_t>(rows.size()),
                              .vocab = static_cast<uint32_t>(logits.size() / rows.size())});
  }
};
SF_GPU_SUITE_F32(GpuSampleTest);

TEST_P(GpuSampleTest, GreedyTakesTheLargestAndTheLowerOfTies) {
  for (const size_t vocab : {1u, 2u, 33u, 1000u, 50003u, 151936u}) {
    std::vector<float> logits = RandomFloats(vocab);
    const size_t at = vocab / 2;
    logits[at] = 50.0f;
    logits.back() = 50.0f;
    EXPECT_EQ(Run(logits, {SampleRow{}}), std::vector<int32_t>{static_cast<int32_t>(at)});
  }
}

TEST_P(GpuSampleTest, MatchesOracleForEveryMixOfFilters) {
  std::vector<SampleRow> rows;
  for (const float temperature : {0.0f, 0.3f, 1.0f, 5.0f}) {
    for (const float top_p : {0.0f, 0.5f, 0.99f, 1.0f}) {
      for (const float min_p : {0.0f, 0.01f, 0.5f, 1.5f}) {
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
  for (const size_t vocab : {1009u, 5003u}) {
    for (const float deviation : {0.1f, 3.0f}) {  // flat and peaked
      const std::vector<float> logits = RandomFloats(rows.size() * vocab, deviation);
      EXPECT_EQ(Run(logits, rows), Expected(logits, rows));
    }
  }
}

TEST_P(GpuSampleTest, MatchesOracleOverALargeVocabulary) {
  constexpr size_t kVocab = 151936;
  std::vector<SampleRow> rows;
  for (const float top_p : {0.9f, 1.0f}) {
    for (const uint32_t top_k : {0u, 20u}) {
      rows.push_back({.temperature = 0.8f, .top_p = top_p, .top_k = top_k, .seed = rows.size()});
    }
  }
  for (const float deviation : {1.0f, 4.0f}) {
    const std::vector<float> logits = RandomFloats(rows.size() * kVocab, deviation);
    EXPECT_EQ(Run(logits, rows), Expected(logits, rows));
  }
}

TEST_P(GpuSampleTest, MatchesOracleWhereAllLogitsAreEqual) {
  std::vector<SampleRow> rows;
  for (uint64_t counter = 0; counter < 64; ++counter) {
    rows.push_back({.temperature = 1.0f,
                    .top_p = counter % 2 == 0 ? 1.0f : 0.5f,
                    .top_k = counter % 3 == 0 ? 77u : 0u,
                    .counter = counter});
  }
  const std::vector<float> logits(rows.size() * 300, -3.25f);
  EXPECT_EQ(Run(logits, rows), Expected(logits, rows));
}

TEST_P(GpuSampleTest, MatchesOracleWithPenaltiesAndBiases) {
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
      const float bias = i == 2 ? -kInf : RandomFloats(1)[0];
      biases.push_back({.token = static_cast<uint32_t>(RandomInt(kVocab)), .bias = bias});
    }
    rows.push_back(row);
  }
  const std::vector<float> logits = RandomFloats(kRows * kVocab, 2.0f);
  EXPECT_EQ(Run(logits, rows, history, biases), Expected(logits, rows, history, biases));
}

TEST_P(GpuSampleTest, NonFiniteLogitsAreNeverChosen) {
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

TEST_P(GpuSampleTest, TokensOutsideTheVocabularyAreIgnored) {
  const std::vector<float> logits = {0.0f, 1.0f, 0.5f, 0.0f};
  const SampleRow row{
      .repetition_penalty = 2.0f, .num_prompt = 1, .num_generated = 2, .num_biases = 1};
  EXPECT_EQ(Run(logits, {row}, {-1, 4, 1000000}, {{4, 100.0f}})[0], 1);
}

TEST_P(GpuSampleTest, ZeroOfEitherSignTies) {
  EXPECT_EQ(Run({-1.0f, -0.0f, 0.0f}, {SampleRow{}})[0], 1);
  EXPECT_EQ(Run({-1.0f, -0.0f, 0.0f}, {SampleRow{.temperature = 1.0f, .top_k = 1}})[0], 1);
}

TEST_P(GpuSampleTest, ExtremeTemperatures) {
  const std::vector<float> logits = RandomFloats(2000, 100.0f);
  const int32_t best = Run(logits, {SampleRow{}})[0];
  EXPECT_EQ(Run(logits, {SampleRow{.temperature = 1e-30f, .seed = 3}})[0], best);
  EXPECT_EQ(Run(logits, {SampleRow{.temperature = 1e-3f, .top_p = 0.9f, .seed = 3}})[0], best);
  std::vector<SampleRow> rows;
  for (uint64_t counter = 0; counter < 32; ++counter) {
    rows.push_back({.temperature = 1e30f, .counter = counter});
  }
  const std::vector<float> flat = RandomFloats(32 * 64, 10.0f);
  EXPECT_EQ(Run(flat, rows), Expected(flat, rows));
}

// The kernel cuts a vocabulary into eight shares of the same size.
constexpr uint32_t kShares = 8;

uint32_t ShareSize(uint32_t vocab) { return (vocab + kShares - 1) / kShares; }

TEST_P(GpuSampleTest, TiesAcrossTheBordersOfShares) {
  for (const uint32_t vocab : {3u, 7u, 8u, 9u, 17u, 1001u, 1002u, 20011u}) {
    std::vector<SampleRow> rows;
    std::vector<float> logits;
    const uint32_t size = ShareSize(vocab);
    for (uint32_t border = size; border < vocab; border += size) {
      // Greedy, the first alone, and a draw from the two.
      for (const uint32_t top_k : {0u, 1u, 2u}) {
        const float temperature = top_k == 0 ? 0.0f : 0.9f;
        std::vector<float> row = RandomFloats(vocab);
        row[border - 1] = row[border] = 40.0f;
        logits.insert(logits.end(), row.begin(), row.end());
        rows.push_back({.temperature = temperature, .top_k = top_k, .counter = border});
      }
    }
    EXPECT_EQ(Run(logits, rows), Expected(logits, rows)) << vocab;
  }
}

TEST_P(GpuSampleTest, FiniteLogitsInOneShareOnly) {
  constexpr uint32_t kVocab = 1003;
  const float others[] = {NAN, kInf, -kInf};
  for (const bool lone : {false, true}) {
    std::vector<SampleRow> rows;
    std::vector<float> logits;
    for (uint32_t share = 0; share < kShares; ++share) {
      for (const float temperature : {0.0f, 0.7f}) {
        std::vector<float> row = RandomFloats(kVocab, 2.0f);
        for (uint32_t i = 0; i < kVocab; ++i) {
          const bool keep =
              lone ? i == share * ShareSize(kVocab) + 5 : i / ShareSize(kVocab) == share;
          if (!keep) row[i] = others[i % 3];
        }
        logits.insert(logits.end(), row.begin(), row.end());
        rows.push_back({.temperature = temperature,
                        .top_p = 0.95f,
                        .min_p = share % 2 == 0 ? 0.0f : 0.05f,
                        .top_k = share % 3 * 20,
                        .counter = share});
      }
    }
    EXPECT_EQ(Run(logits, rows), Expected(logits, rows));
  }
}

// With the number of rows goes the number of blocks a row.
TEST_P(GpuSampleTest, ARowsTokenDoesNotDependOnTheNumberOfRows) {
  constexpr uint32_t kVocab = 2003;
  constexpr uint32_t kMost = 150;
  std::vector<SampleRow> rows;
  for (uint32_t r = 0; r < kMost; ++r) {
    rows.push_back({.temperature = r % 3 == 0 ? 0.0f : 0.8f,
                    .top_p = r % 2 == 0 ? 1.0f : 0.95f,
                    .min_p = r % 5 == 0 ? 0.02f : 0.0f,
                    .top_k = r % 4 == 0 ? 0u : 20u * (r % 4),
                    .seed = 5,
                    .counter = r});
  }
  const std::vector<float> logits = RandomFloats(size_t{kMost} * kVocab, 2.0f);
  const std::vector<int32_t> expected = Expected(logits, rows);
  for (const uint32_t n : {1u, 9u, 20u, 40u, 70u, kMost}) {
    EXPECT_EQ(Run({logits.begin(), logits.begin() + n * kVocab}, {rows.begin(), rows.begin() + n}),
              std::vector<int32_t>(expected.begin(), expected.begin() + n))
        << n;
  }
}

std::vector<SampleRow> RowsOfEveryPath() {
  std::vector<SampleRow> rows;
  for (const uint32_t top_k : {0u, 1u, 20u, 5000u}) {
    for (const float top_p : {1e-7f, 0.5f, 0.95f, 1.0f}) {
      for (const float min_p : {0.0f, 0.3f}) {
        rows.push_back({.temperature = 0.8f,
                        .top_p = top_p,
                        .min_p = min_p,
                        .top_k = top_k,
                        .seed = 17,
                        .counter = rows.size()});
      }
    }
  }
  return rows;
}

// Many tokens in one bin, which is then divided by their order.
TEST_P(GpuSampleTest, MatchesOracleWithManyTies) {
  constexpr size_t kVocab = 30011;
  const std::vector<SampleRow> rows = RowsOfEveryPath();
  std::vector<float> logits = RandomFloats(rows.size() * kVocab);
  for (float& logit : logits) logit = std::round(logit);
  EXPECT_EQ(Run(logits, rows), Expected(logits, rows));
  const std::vector<float> equal(logits.size(), 2.5f);
  EXPECT_EQ(Run(equal, rows), Expected(equal, rows));
}

// Bins follow the range of the logits, so that one outlier makes the others share a few.
TEST_P(GpuSampleTest, MatchesOracleForFlatLogitsWithOutliers) {
  constexpr size_t kVocab = 20001;
  const std::vector<SampleRow> rows = RowsOfEveryPath();
  for (const float outlier : {-100.0f, -20.0f, 1.0f, 20.0f}) {
    std::vector<float> logits = RandomFloats(rows.size() * kVocab, 0.01f);
    for (size_t i = 77; i < logits.size(); i += kVocab) logits[i] = outlier;
    EXPECT_EQ(Run(logits, rows), Expected(logits, rows)) << outlier;
  }
}

TEST_P(GpuSampleTest, AdjustsTokensOfEveryShare) {
  constexpr uint32_t kVocab = 1001;
  constexpr uint32_t kRows = 24;
  std::vector<int32_t> history;
  std::vector<LogitBias> biases;
  std::vector<SampleRow> rows;
  for (uint32_t r = 0; r < kRows; ++r) {
    SampleRow row{.temperature = r % 2 == 0 ? 0.0f : 0.9f,
                  .top_k = r % 3 == 0 ? 0u : 30u,
                  .presence_penalty = 0.5f,
                  .frequency_penalty = 0.01f,
                  .repetition_penalty = 1.1f,
                  .history_begin = static_cast<uint32_t>(history.size()),
                  .num_prompt = r % 4 * 1500,
                  .num_generated = 100 + r % 5 * 1500,
                  .bias_begin = static_cast<uint32_t>(biases.size()),
                  .num_biases = r % 7 * 50,
                  .seed = r};
    for (uint32_t i = 0; i < row.num_prompt + row.num_generated; ++i) {
      history.push_back(RandomInt(kVocab));
    }
    // Several of a token, and the tokens at both sides of each border.
    for (uint32_t i = 0; i < row.num_biases; ++i) {
      const uint32_t border = i % kShares * ShareSize(kVocab);
      biases.push_back({.token = i % 3 == 0 ? static_cast<uint32_t>(RandomInt(kVocab))
                                            : (border + kVocab - i % 2) % kVocab,
                        .bias = i == 7 ? -kInf : RandomFloats(1)[0]});
    }
    rows.push_back(row);
  }
  const std::vector<float> logits = RandomFloats(size_t{kRows} * kVocab, 2.0f);
  EXPECT_EQ(Run(logits, rows, history, biases), Expected(logits, rows, history, biases));
}

}  // namespace
}  // namespace spearfish::kernels
