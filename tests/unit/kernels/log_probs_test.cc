#include "tests/reference/log_probs.h"

#include <cmath>

#include "tests/reference/tolerances.h"
#include "tests/unit/kernels/kernel_fixture.h"

namespace spearfish::kernels {
namespace {

class LogProbsTest : public KernelTest {};
INSTANTIATE_TEST_SUITE_P(Cpu, LogProbsTest, ::testing::ValuesIn(AllKernelParams()), ParamName);

TEST_P(LogProbsTest, MatchesOracle) {
  for (const uint32_t vocab : {1u, 2u, 31u, 1000u, 50003u}) {
    for (const uint32_t top_n : {0u, 1u, 20u}) {
      if (top_n > vocab) continue;
      constexpr uint32_t kRows = 5;
      const std::vector<float> logits = RandomFloats(size_t{kRows} * vocab, 5.0f);
      std::vector<int32_t> tokens(kRows);
      for (int32_t& token : tokens) token = RandomInt(static_cast<int32_t>(vocab));
      GuardedArray<float> chosen(*device_, kRows);
      GuardedArray<float> top(*device_, size_t{kRows} * top_n);
      GuardedArray<int32_t> ranks(*device_, kRows);
      GuardedArray<int32_t> ids(*device_, size_t{kRows} * top_n);
      const LogProbsArgs args{.logits = logits.data(),
                              .tokens = tokens.data(),
                              .token_logprobs = chosen.data(),
                              .ranks = ranks.data(),
                              .top_ids = top_n == 0 ? nullptr : ids.data(),
                              .top_logprobs = top_n == 0 ? nullptr : top.data(),
                              .num_rows = kRows,
                              .vocab = vocab,
                              .top_n = top_n};
      const auto run = [&](Stream& stream) { kernels_->LogProbs(args, stream); };
      RunAndReplay<float>(run, {&chosen, &top});
      RunAndReplay<int32_t>(run, {&ranks, &ids});
      const reference::LogProbsResult expected = reference::LogProbs(args);
      ExpectClose(chosen.values(), expected.token_logprobs, reference::kLogProbTolerance);
      ExpectClose(top.values(), expected.top_logprobs, reference::kLogProbTolerance);
      EXPECT_EQ(ranks.Copy(), expected.ranks);
      EXPECT_EQ(ids.Copy(), expected.top_ids);
    }
  }
}

struct Top {
  std::vector<int32_t> ids;
  std::vector<float> logprobs;
  int32_t rank;
};

Top RunOne(Kernels& kernels, Stream& stream, const std::vector<float>& logits, int32_t token,
           uint32_t top_n) {
  Top top{std::vector<int32_t>(top_n), std::vector<float>(top_n), -1};
  float logprob = 0;
  int32_t rank = -1;
  alignas(16) const int32_t tokens[] = {token};
  alignas(16) float logprobs[] = {logprob};
  alignas(16) int32_t ranks[] = {rank};
  kernels.LogProbs({.logits = logits.data(),
                    .tokens = tokens,
                    .token_logprobs = logprobs,
                    .ranks = ranks,
                    .top_ids = top.ids.data(),
                    .top_logprobs = top.logprobs.data(),
                    .num_rows = 1,
                    .vocab = static_cast<uint32_t>(logits.size()),
                    .top_n = top_n},
                   stream);
  stream.Synchronize();
  top.rank = ranks[0];
  return top;
}

TEST_P(LogProbsTest, TiesKeepTheLowerIdAndDoNotRaiseTheRank) {
  std::vector<float> logits(100, 1.0f);
  logits[90] = 3.0f;
  logits[40] = 3.0f;
  logits[41] = 2.0f;
  const Top top = RunOne(*kernels_, *stream_, logits, 90, 6);
  EXPECT_EQ(top.ids, (std::vector<int32_t>{40, 90, 41, 0, 1, 2}));
  EXPECT_EQ(top.rank, 0);
}

TEST_P(LogProbsTest, BannedAndNaNLogitsComeLast) {
  std::vector<float> logits(40, -INFINITY);
  logits[1] = NAN;
  logits[30] = 0.0f;
  const Top top = RunOne(*kernels_, *stream_, logits, 30, 4);
  EXPECT_EQ(top.ids, (std::vector<int32_t>{30, 0, 1, 2}));
  EXPECT_EQ(top.logprobs[0], 0.0f);
  EXPECT_EQ(top.logprobs[1], -INFINITY);
  EXPECT_EQ(top.rank, 0);
}

TEST_P(LogProbsTest, NoFiniteLogitGivesNaNAndValidIds) {
  const Top top = RunOne(*kernels_, *stream_, std::vector<float>(40, NAN), 3, 4);
  EXPECT_EQ(top.ids, (std::vector<int32_t>{0, 1, 2, 3}));
  EXPECT_TRUE(std::isnan(top.logprobs[0]));
}

}  // namespace
}  // namespace spearfish::kernels
