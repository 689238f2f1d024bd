// A Tokenizer that only decodes: token i is the i-th string it was given.
#ifndef TESTS_UNIT_WORKER_ENGINE_FAKE_TOKENIZER_H_
#define TESTS_UNIT_WORKER_ENGINE_FAKE_TOKENIZER_H_

#include <string>
#include <utility>
#include <vector>

#include "common/tokenizer/detokenizer.h"
#include "common/tokenizer/tokenizer.h"

namespace spearfish::worker {

class FakeTokenizer final : public Tokenizer {
 public:
  // Strings in angle brackets are special tokens.
  explicit FakeTokenizer(std::vector<std::string> tokens) : tokens_(std::move(tokens)) {}

  // Of the printable ASCII characters, from ' ' on.
  static FakeTokenizer Ascii(uint32_t vocab_size) {
    std::vector<std::string> tokens;
    for (uint32_t i = 0; i < vocab_size; ++i) tokens.emplace_back(1, static_cast<char>(' ' + i));
    return FakeTokenizer(std::move(tokens));
  }

  absl::StatusOr<std::vector<TokenId>> Encode(absl::string_view /*text*/,
                                              SpecialTokens /*special*/) const override {
    return absl::UnimplementedError("the fake tokenizer decodes only");
  }
  absl::StatusOr<absl::string_view> TokenBytes(TokenId id) const override {
    if (id >= tokens_.size()) return absl::OutOfRangeError("no such token");
    return tokens_[id];
  }
  absl::StatusOr<std::string> Decode(std::span<const TokenId> ids,
                                     SpecialTokens special) const override {
    Detokenizer detokenizer(*this, special);
    std::string text;
    for (const TokenId id : ids) text += detokenizer.Append(id);
    return text + detokenizer.Flush();
  }
  bool IsSpecial(TokenId id) const override {
    return id < tokens_.size() && tokens_[id].size() > 1 && tokens_[id].front() == '<' &&
           tokens_[id].back() == '>';
  }
  absl::StatusOr<TokenId> FindToken(absl::string_view text) const override {
    for (TokenId id = 0; id < tokens_.size(); ++id) {
      if (tokens_[id] == text) return id;
    }
    return absl::NotFoundError("no such token");
  }
  uint32_t vocab_size() const override { return static_cast<uint32_t>(tokens_.size()); }

 private:
  std::vector<std::string> tokens_;
};

}  // namespace spearfish::worker

#endif  // TESTS_UNIT_WORKER_ENGINE_FAKE_TOKENIZER_H_
