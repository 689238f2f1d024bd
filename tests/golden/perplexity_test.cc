// Perplexity of a held-out text, by scale mode, beside the reference's for bfloat16 experts.
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "common/tokenizer/tokenizer.h"
#include "tests/golden/loaded_model.h"
#include "tests/golden/sequence_runner.h"
#include "tests/support/test_data.h"

namespace spearfish::tests {
namespace {

constexpr size_t kNumWindows = 64;
constexpr size_t kWindowTokens = 256;

struct PerplexityCase {
  const char* name;
  double bf16_reference;  // transformers, bfloat16 experts

  friend void PrintTo(const PerplexityCase& model, std::ostream* out) { *out << model.name; }
};

using Windows = std::vector<std::vector<TokenId>>;

// Consecutive windows from the text's start.
std::optional<Windows> ReadWindows(const std::string& folder, const std::string& text_path) {
  const auto tokenizer = Tokenizer::FromFile(folder + "/tokenizer.json");
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  if (!tokenizer.ok()) return std::nullopt;
  const auto ids = (*tokenizer)->Encode(ReadFile(text_path), Tokenizer::SpecialTokens::kParse);
  EXPECT_TRUE(ids.ok()) << ids.status();
  if (!ids.ok() || ids->size() < kNumWindows * kWindowTokens) return std::nullopt;
  Windows windows;
  for (size_t w = 0; w < kNumWindows; ++w) {
    const auto begin = ids->begin() + static_cast<ptrdiff_t>(w * kWindowTokens);
    windows.emplace_back(begin, begin + kWindowTokens);
  }
  return windows;
}

// exp of the mean negative log-probability of tokens 2..256 of each window.
std::optional<double> Perplexity(const std::string& folder, const Windows& windows,
                                 QuantOptions quant, uint32_t dense_bits = 16) {
  const auto loaded = LoadedModel::Create(
      folder, {.quant = quant, .model = {.max_model_len = 256, .dense = {.bits = dense_bits}}});
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  if (!loaded.ok()) return std::nullopt;
  SequenceRunner runner(*(*loaded)->model);
  double sum = 0;
  size_t count = 0;
  for (const std::vector<TokenId>& window : windows) {
    for (const float logprob : runner.Run(window, {}).prompt_logprobs) {
      sum -= logprob;
      ++count;
    }
  }
  return std::exp(sum / static_cast<double>(count));
}

class PerplexityTest : public testing::TestWithParam<PerplexityCase> {};

TEST_P(PerplexityTest, DefaultScaleIsNoWorseThanAbsmaxAndInt8LosesHardlyAnything) {
  const PerplexityCase& model = GetParam();
  const std::optional<std::string> folder = SharedPath(std::string("models/") + model.name);
  const std::optional<std::string> text = SharedPath("text/validation.txt");
  if (!folder || !text) GTEST_SKIP() << "no " << model.name << " or text beside the repository";
  const std::optional<Windows> windows = ReadWindows(*folder, *text);
  ASSERT_TRUE(windows.has_value());
  const auto absmax = Perplexity(*folder, *windows, {.bits = 4, .scale = ScaleMode::kAbsmax});
  const auto mse = Perplexity(*folder, *windows, {.bits = 4, .scale = ScaleMode::kMse});
  const auto int8 = Perplexity(*folder, *windows, {.bits = 8, .scale = ScaleMode::kMse});
  const auto dense = Perplexity(*folder, *windows, {.bits = 4, .scale = ScaleMode::kMse}, 8);
  const auto all_int8 = Perplexity(*folder, *windows, {.bits = 8, .scale = ScaleMode::kMse}, 8);
  ASSERT_TRUE(absmax && mse && int8 && dense && all_int8);
  std::printf("| %s | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f |\n", model.name,
              model.bf16_reference, *absmax, *mse, *int8, *dense, *all_int8);
  EXPECT_LE(*mse, *absmax);
  // A wrong nibble order or scale would be far off, INT8 should be hardly.
  EXPECT_NEAR(*int8, model.bf16_reference, 0.01 * model.bf16_reference);
  EXPECT_NEAR(*mse, model.bf16_reference, 0.1 * model.bf16_reference);
  EXPECT_NEAR(*dense, *mse, 0.01 * *mse);
  EXPECT_NEAR(*all_int8, model.bf16_reference, 0.01 * model.bf16_reference);
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, PerplexityTest,
                         testing::Values(PerplexityCase{"qwen3-moe-3m", 38.48},
                                         PerplexityCase{"qwen3-moe-15m", 71.86}),
                         [](const auto& test) {
                           return std::string(test.param.name) == "qwen3-moe-3m" ? "qwen3_moe_3m"
                                                                                 : "qwen3_moe_15m";
                         });

}  // namespace
}  // namespace spearfish::tests
