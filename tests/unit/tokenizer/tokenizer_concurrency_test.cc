#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "common/base/check.h"
#include "common/tokenizer/detokenizer.h"
#include "tests/unit/tokenizer/bundled_tokenizer.h"
#include "tests/unit/tokenizer/random_text.h"

namespace spearfish {
namespace {

TEST(TokenizerConcurrency, ThreadsShareOneTokenizer) {
  constexpr int kNumThreads = 4;
  constexpr int kNumTexts = 200;
  const Tokenizer& tokenizer = BundledTokenizer();
  std::vector<std::string> texts;
  std::vector<std::vector<TokenId>> expected;
  texts.reserve(kNumTexts);
  expected.reserve(kNumTexts);
  RandomText random(9);
  for (int i = 0; i < kNumTexts; ++i) {
    texts.push_back(random.Next(80));
    expected.push_back(*tokenizer.Encode(texts.back(), Tokenizer::SpecialTokens::kParse));
  }
  std::vector<int> num_wrong(kNumThreads, 0);
  std::vector<std::thread> threads;
  threads.reserve(kNumThreads);
  for (int t = 0; t < kNumThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kNumTexts; ++i) {
        const auto ids = tokenizer.Encode(texts[i], Tokenizer::SpecialTokens::kParse);
        Detokenizer detokenizer(tokenizer, Tokenizer::SpecialTokens::kAsText);
        std::string text;
        for (const TokenId id : *ids) text += detokenizer.Append(id);
        if (*ids != expected[i] || text != texts[i]) ++num_wrong[t];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(num_wrong, std::vector<int>(kNumThreads, 0));
}

}  // namespace
}  // namespace spearfish
