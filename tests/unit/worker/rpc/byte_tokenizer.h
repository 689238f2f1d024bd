// The simplest tokenizer that keeps the contract: a byte is a token; 256 is the special "<end>".
#ifndef TESTS_UNIT_WORKER_RPC_BYTE_TOKENIZER_H_
#define TESTS_UNIT_WORKER_RPC_BYTE_TOKENIZER_H_

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/tokenizer/tokenizer.h"

namespace spearfish::worker {

class ByteTokenizer : public Tokenizer {
 public:
  static constexpr TokenId kEnd = 256;

  absl::StatusOr<std::vector<TokenId>> Encode(absl::string_view text,
                                              SpecialTokens special) const override {
    std::vector<TokenId> ids;
    while (!text.empty()) {
      const bool end = special == SpecialTokens::kParse && absl::StartsWith(text, "<end>");
      ids.push_back(end ? kEnd : static_cast<unsigned char>(text.front()));
      text.remove_prefix(end ? 5 : 1);
    }
    return ids;
  }

  absl::StatusOr<absl::string_view> TokenBytes(TokenId id) const override {
    if (id == kEnd) return "<end>";
    if (id > kEnd) return absl::OutOfRangeError(absl::StrCat("id not in the vocabulary: ", id));
    static const std::string bytes = [] {
      std::string all;
      for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
      return all;
    }();
    return absl::string_view(bytes).substr(id, 1);
  }

  absl::StatusOr<std::string> Decode(std::span<const TokenId> ids,
                                     SpecialTokens special) const override {
    std::string text;
    for (const TokenId id : ids) {
      const absl::StatusOr<absl::string_view> bytes = TokenBytes(id);
      if (!bytes.ok()) return bytes.status();
      if (id != kEnd || special == SpecialTokens::kAsText) absl::StrAppend(&text, *bytes);
    }
    return text;
  }

  bool IsSpecial(TokenId id) const override { return id == kEnd; }
  absl::StatusOr<TokenId> FindToken(absl::string_view text) const override {
    if (text == "<end>") return kEnd;
    if (text.size() == 1) return static_cast<unsigned char>(text.front());
    return absl::NotFoundError("no such token");
  }
  uint32_t vocab_size() const override { return kEnd + 1; }
};

}  // namespace spearfish::worker

#endif  // TESTS_UNIT_WORKER_RPC_BYTE_TOKENIZER_H_
