// The one implementation of Tokenizer: byte-level BPE.
#ifndef COMMON_TOKENIZER_BYTE_BPE_TOKENIZER_H_
#define COMMON_TOKENIZER_BYTE_BPE_TOKENIZER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/tokenizer/added_tokens.h"
#include "common/tokenizer/bpe_model.h"
#include "common/tokenizer/pre_tokenizer.h"
#include "common/tokenizer/tokenizer.h"
#include "common/tokenizer/tokenizer_spec.h"
#include "common/tokenizer/vocabulary.h"

namespace spearfish {

// Owns every part. Text goes through them in this order: added tokens of the original text,
// normaliser, added tokens of the normalised text, pre-tokenizer, model.
class ByteBpeTokenizer final : public Tokenizer {
 public:
  static absl::StatusOr<std::unique_ptr<Tokenizer>> Create(const TokenizerSpec& spec);

  absl::StatusOr<std::vector<TokenId>> Encode(absl::string_view text,
                                              SpecialTokens special) const override;
  absl::StatusOr<absl::string_view> TokenBytes(TokenId id) const override;
  absl::StatusOr<std::string> Decode(std::span<const TokenId> ids,
                                     SpecialTokens special) const override;
  bool IsSpecial(TokenId id) const override;
  absl::StatusOr<TokenId> FindToken(absl::string_view text) const override;
  uint32_t vocab_size() const override;

 private:
  // One call of Encode.
  struct Job {
    SpecialTokens special;
    BpeModel::Workspace workspace;
    std::vector<TokenId> ids;
  };

  ByteBpeTokenizer(std::unique_ptr<const Vocabulary> vocabulary, const TokenizerSpec& spec,
                   PreTokenizer pre_tokenizer, BpeModel model);

  absl::Status EncodeOriginal(absl::string_view text, Job& job) const;
  absl::Status EncodeNormalized(absl::string_view text, Job& job) const;

  const std::unique_ptr<const Vocabulary> vocabulary_;
  const AddedTokens original_tokens_;    // looked for in the text as it came
  const AddedTokens normalized_tokens_;  // looked for after normalisation
  const bool normalize_nfc_;
  const PreTokenizer pre_tokenizer_;
  const BpeModel model_;
};

}  // namespace spearfish

#endif  // COMMON_TOKENIZER_BYTE_BPE_TOKENIZER_H_
