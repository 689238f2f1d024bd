// The tokenizer of the bundled checkpoint, read once for all tests of the binary.
#ifndef TESTS_UNIT_TOKENIZER_BUNDLED_TOKENIZER_H_
#define TESTS_UNIT_TOKENIZER_BUNDLED_TOKENIZER_H_

#include <memory>
#include <string>
#include <utility>

#include "common/base/check.h"
#include "common/tokenizer/tokenizer.h"

namespace spearfish {

inline std::string BundledTokenizerPath() {
  return std::string(SPEARFISH_SOURCE_DIR) + "/tests/data/qwen3-moe-3m/tokenizer.json";
}

inline const Tokenizer& BundledTokenizer() {
  static const std::unique_ptr<Tokenizer> tokenizer = [] {
    absl::StatusOr<std::unique_ptr<Tokenizer>> created =
        Tokenizer::FromFile(BundledTokenizerPath());
    SF_CHECK_OK(created.status());
    return *std::move(created);
  }();
  return *tokenizer;
}

}  // namespace spearfish

#endif  // TESTS_UNIT_TOKENIZER_BUNDLED_TOKENIZER_H_
