#include "tests/reference/log_probs.h"

#include <cmath>

#include "tests/gpu/gpu_fixture.h"
#include "tests/reference/tolerances.h"

namespace spearfish::kernels {
namespace {

class GpuLogProbsTest : public GpuKernelTest {
 protected:
  struct Result {
    std::vector<float> chosen;
    std::vector<int32_t> ranks;
    std::vector<int32_t> ids;
    std::vector<float> top;
  };

  Result Run(const std::vector<float>& logits, const std::vector<int32_t>& tokens, uint32_t top_n) {
    const size_t rows = tokens.size();
    GuardedBytes chosen = Output(rows * sizeof(float));
    GuardedBytes ranks = Output(rows * sizeof(int32_t));
    GuardedBytes ids = Output(rows * top_n * sizeof(int32_t));
    GuardedBytes top = Output(rows * top_n * sizeof(float));
    const LogProbsArgs args{.logits = Upload(logits),
                            .tokens = Upload(tokens),
                            .token_logprobs = chosen.as<float>(),
                            .ranks = ranks.as<int32_t>(),
                            .top_ids = top_n == 0 ? nullptr : ids.as<int32_t>(),
                            .top_logprobs = top_n == 0 ? nullptr : top.as<float>(),
                            .num_rows = static_cast<uint32_t>(rows),
                            .vocab = static_cast<uint32_t>(logits.size() / rows),
                            .top_n = top_n};
    RunAndReplay([&](Stream& stream) { kernels_->LogProbs(args, stream); },
                 {&chosen, &ranks, &ids, &top});
    return {Values<float>(chosen), Values<int32_t>(ranks), Values<int32_t>(ids),
            Values<float>(top)};
  }
};
SF_GPU_SUITE_F32(GpuLogProbsTest);

TEST_P(GpuLogProbsTest, MatchesOracle) {
  for (const uint32_t vocab : {1u, 2u, 31u, 1000u, 50003u}) {
    for (const uint32_t top_n : {0u, 1u, 20u}) {
      if (top_n > vocab) continue;
      constexpr uint32_t kRows = 5;
      const std::vector<float> logits = RandomFloats(size_t{kRows} * vocab, 5.0f);
      std::vector<int32_t> tokens(kRows);
      for (int32_t& token : tokens) token = RandomInt(static_cast<int32_t>(vocab));
      const Result result = Run(logits, tokens, top_n);
      const reference::LogProbsResult expected = reference::LogProbs({.logits = logits.data(),
                                                                      .tokens = tokens.data(),
                                                                      .token_logprobs = nullptr,
                                                                      .ranks = nullptr,
                                                                      .top_ids = nullptr,
                                                                      .top_logprobs = nullptr,
                                                                      .num_rows = kRows,
                                                                      .vocab = vocab,
                                                                      .top_n = top_n});
      const double tolerance = reference::kLogProbTolerance;
      ExpectClose(result.chosen, expected.token_logprobs, {tolerance, tolerance});
      ExpectClose(result.top, expected.top_logprobs, {tolerance, tolerance});
      EXPECT_EQ(result.ranks, expected.ranks);
      EXPECT_EQ(result.ids, expected.top_ids);
    }
  }
}

TEST_P(GpuLogProbsTest, TiesBansAndNaN) {
  std::vector<float> logits(100, 1.0f);
  logits[90] = 3.0f;
  logits[40] = 3.0f;
  logits[41] = 2.0f;
  const Result ties = Run(logits, {90}, 6);
  EXPECT_EQ(ties.ids, (std::vector<int32_t>{40, 90, 41, 0, 1, 2}));
  EXPECT_EQ(ties.ranks[0], 0);

  std::vector<float> banned(40, -INFINITY);
  banned[1] = NAN;
  banned[30] = 0.0f;
  const Result bans = Run(banned, {30}, 4);
  EXPECT_EQ(bans.ids, (std::vector<int32_t>{30, 0, 1, 2}));
  EXPECT_EQ(bans.top[0], 0.0f);
  EXPECT_EQ(bans.top[1], -INFINITY);
  EXPECT_EQ(bans.ranks[0], 0);

  const Result none = Run(std::vector<float>(40, NAN), {3}, 4);
  EXPECT_EQ(none.ids, (std::vector<int32_t>{0, 1, 2, 3}));
  EXPECT_TRUE(std::isnan(none.top[0]));
}

// With the number of rows goes the number of blocks a row; the sums must not.
TEST_P(GpuLogProbsTest, ARowsBitsDoNotDependOnTheNumberOfRows) {
  constexpr uint32_t kVocab = 5003;
  constexpr uint32_t kMost = 150;
  constexpr uint32_t kTopN = 3;
  const std::vector<float> logits = RandomFloats(size_t{kMost} * kVocab, 3.0f);
  std::vector<int32_t> tokens(kMost);
  for (int32_t& token : tokens) token = RandomInt(kVocab);
  const Result all = Run(logits, tokens, kTopN);
  for (const uint32_t n : {1u, 9u, 20u, 40u, 70u}) {
    const Result some = Run({logits.begin(), logits.begin() + n * kVocab},
                            {tokens.begin(), tokens.begin() + n}, kTopN);
    EXPECT_EQ(some.chosen, std::vector<float>(all.chosen.begin(), all.chosen.begin() + n)) << n;
    EXPECT_EQ(some.ranks, std::vector<int32_t>(all.ranks.begin(), all.ranks.begin() + n)) << n;
    EXPECT_EQ(some.ids, std::vector<int32_t>(all.ids.begin(), all.ids.begin() + n * kTopN)) << n;
    EXPECT_EQ(some.top, std::vector<float>(all.top.begin(), all.top.begin() + n * kTopN)) << n;
  }
  // Where the row lies, and so its alignment, must not matter either.
  const Result second =
      Run({logits.begin() + kVocab, logits.begin() + 2 * kVocab}, {tokens[1]}, kTopN);
  EXPECT_EQ(second.chosen[0], all.chosen[1]);
}

TEST_P(GpuLogProbsTest, TiesAcrossTheBordersOfShares) {
  // Eight shares of 13 tokens, the last one short.
  std::vector<float> logits(99, 0.0f);
  for (const size_t id : {12u, 13u, 51u, 52u, 98u}) logits[id] = 4.0f;
  const Result result = Run(logits, {98}, 7);
  EXPECT_EQ(result.ids, (std::vector<int32_t>{12, 13, 51, 52, 98, 0, 1}));
  EXPECT_EQ(result.ranks[0], 0);
}

}  // namespace
}  // namespace spearfish::kernels
