#include "common/tokenizer/byte_bpe_tokenizer.h"

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/status_macros.h"
#include "common/tokenizer/normalizer.h"
#include "common/tokenizer/quote.h"
#include "common/tokenizer/utf8.h"

namespace spearfish {
namespace {

// A text that is a single word takes about 40 bytes of memory for each of its bytes.
constexpr size_t kMostTextBytes = 32 * kMiB;

absl::Status CheckText(absl::string_view text) {
  if (text.size() > kMostTextBytes) {
    return absl::InvalidArgumentError(absl::StrCat("text is too long: ", FormatBytes(text.size()),
                                                   ", the limit is ", FormatBytes(kMostTextBytes),
                                                   "; send less"));
  }
  const size_t valid = ValidUtf8Prefix(text);
  if (valid == text.size()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("text is not valid UTF-8: byte ", valid, " of ",
                                                 text.size(), "; send UTF-8, or token ids"));
}

// The added tokens of one kind, with the texts to look for.
std::vector<AddedToken> Select(const TokenizerSpec& spec, bool normalized) {
  std::vector<AddedToken> selected;
  absl::flat_hash_map<std::string, TokenId> seen;
  for (AddedToken token : spec.added_tokens) {
    if (token.normalized != normalized) continue;
    if (normalized && spec.normalize_nfc) token.text = NormalizeNfc(token.text);
    // Two texts can be one after normalisation: the first stands.
    if (seen.try_emplace(token.text, token.id).second) selected.push_back(std::move(token));
  }
  return selected;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> ByteBpeTokenizer::Create(const TokenizerSpec& spec) {
  SF_ASSIGN_OR_RETURN(Vocabulary tokens, Vocabulary::Create(spec.model.vocab, spec.added_tokens));
  auto vocabulary = std::make_unique<const Vocabulary>(std::move(tokens));
  SF_ASSIGN_OR_RETURN(PreTokenizer pre_tokenizer, PreTokenizer::Create(spec.pre_tokenizer));
  SF_ASSIGN_OR_RETURN(BpeModel model, BpeModel::Create(*vocabulary, spec.model));
  return std::unique_ptr<Tokenizer>(new ByteBpeTokenizer(
      std::move(vocabulary), spec, std::move(pre_tokenizer), std::move(model)));
}

ByteBpeTokenizer::ByteBpeTokenizer(std::unique_ptr<const Vocabulary> vocabulary,
                                   const TokenizerSpec& spec, PreTokenizer pre_tokenizer,
                                   BpeModel model)
    : vocabulary_(std::move(vocabulary)),
      original_tokens_(Select(spec, false)),
      normalized_tokens_(Select(spec, true)),
      normalize_nfc_(spec.normalize_nfc),
      pre_tokenizer_(std::move(pre_tokenizer)),
      model_(std::move(model)) {}

absl::StatusOr<std::vector<TokenId>> ByteBpeTokenizer::Encode(absl::string_view text,
                                                              SpecialTokens special) const {
  SF_RETURN_IF_ERROR(CheckText(text));
  Job job{.special = special, .workspace = {}, .ids = {}};
  SF_RETURN_IF_ERROR(EncodeOriginal(text, job));
  return std::move(job.ids);
}

absl::Status ByteBpeTokenizer::EncodeOriginal(absl::string_view text, Job& job) const {
  return original_tokens_.Split(text, job.special, [&](const AddedTokens::Segment& segment) {
    if (segment.id.has_value()) {
      job.ids.push_back(*segment.id);
      return absl::OkStatus();
    }
    if (!normalize_nfc_) return EncodeNormalized(segment.text, job);
    return EncodeNormalized(NormalizeNfc(segment.text), job);
  });
}

absl::Status ByteBpeTokenizer::EncodeNormalized(absl::string_view text, Job& job) const {
  return normalized_tokens_.Split(text, job.special, [&](const AddedTokens::Segment& segment) {
    if (segment.id.has_value()) {
      job.ids.push_back(*segment.id);
      return absl::OkStatus();
    }
    return pre_tokenizer_.Split(segment.text, [&](absl::string_view word) {
      return model_.EncodeWord(word, job.workspace, job.ids);
    });
  });
}

absl::StatusOr<absl::string_view> ByteBpeTokenizer::TokenBytes(TokenId id) const {
  const std::optional<absl::string_view> bytes = vocabulary_->Bytes(id);
  if (bytes.has_value()) return *bytes;
  return absl::OutOfRangeError(absl::StrCat("token id is not in the vocabulary: ", id,
                                            ", the largest is ", int64_t{vocab_size()} - 1,
                                            "; check that the ids are of this model"));
}

absl::StatusOr<std::string> ByteBpeTokenizer::Decode(std::span<const TokenId> ids,
                                                     SpecialTokens special) const {
  std::string raw;
  for (const TokenId id : ids) {
    SF_ASSIGN_OR_RETURN(const absl::string_view bytes, TokenBytes(id));
    if (special == SpecialTokens::kParse && IsSpecial(id)) continue;
    raw.append(bytes.data(), bytes.size());
  }
  std::string text;
  text.reserve(raw.size());
  if (AppendLossyUtf8(raw, text) < raw.size()) absl::StrAppend(&text, kReplacementCharacter);
  return text;
}

bool ByteBpeTokenizer::IsSpecial(TokenId id) const { return vocabulary_->IsSpecial(id); }

absl::StatusOr<TokenId> ByteBpeTokenizer::FindToken(absl::string_view text) const {
  std::optional<TokenId> id = vocabulary_->FindAddedToken(text);
  if (!id.has_value()) id = vocabulary_->FindModelToken(text);
  if (id.has_value()) return *id;
  return absl::NotFoundError(absl::StrCat("token is not in the vocabulary: ", Quote(text),
                                          "; check that it is a token of this model"));
}

uint32_t ByteBpeTokenizer::vocab_size() const { return vocabulary_->size(); }

}  // namespace spearfish
