#include "common/tokenizer/vocabulary.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/tokenizer/byte_level.h"
#include "common/tokenizer/quote.h"

namespace spearfish {
namespace {

constexpr char kRemedy[] = "; download tokenizer.json again";

}  // namespace

absl::StatusOr<Vocabulary> Vocabulary::Create(
    const std::vector<std::pair<std::string, TokenId>>& model_tokens,
    const std::vector<AddedToken>& added_tokens) {
  Vocabulary vocabulary;
  vocabulary.model_ids_.reserve(model_tokens.size());
  for (const auto& [text, id] : model_tokens) {
    SF_RETURN_IF_ERROR(vocabulary.AddModelToken(text, id));
  }
  for (const AddedToken& token : added_tokens) {
    SF_RETURN_IF_ERROR(vocabulary.AddAddedToken(token));
  }
  return vocabulary;
}

absl::Status Vocabulary::AddModelToken(absl::string_view text, TokenId id) {
  SF_RETURN_IF_ERROR(CheckId(text, id));
  if (!model_ids_.try_emplace(std::string(text.data(), text.size()), id).second) {
    return absl::InvalidArgumentError(
        absl::StrCat("token is in the vocabulary twice: ", Quote(text), kRemedy));
  }
  const std::optional<std::string> bytes = AlphabetToBytes(text);
  SetToken(id, bytes.has_value() ? absl::string_view(*bytes) : text, Origin::kModel);
  return absl::OkStatus();
}

absl::Status Vocabulary::AddAddedToken(const AddedToken& token) {
  if (token.text.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("added token has no text: id ", token.id, kRemedy));
  }
  const std::optional<TokenId> model_id = FindModelToken(token.text);
  if (model_id.has_value() && *model_id != token.id) {
    return absl::InvalidArgumentError(
        absl::StrCat("added token has another id in the vocabulary: ", Quote(token.text), " is ",
                     token.id, " and ", *model_id, kRemedy));
  }
  if (!model_id.has_value()) SF_RETURN_IF_ERROR(CheckId(token.text, token.id));
  if (!added_ids_.try_emplace(token.text, token.id).second) {
    return absl::InvalidArgumentError(
        absl::StrCat("added token is given twice: ", Quote(token.text), kRemedy));
  }
  SetToken(token.id, token.text, token.special ? Origin::kSpecial : Origin::kAdded);
  return absl::OkStatus();
}

absl::Status Vocabulary::CheckId(absl::string_view text, TokenId id) const {
  if (id >= kIdLimit) {
    return absl::InvalidArgumentError(absl::StrCat("token id too large: ", Quote(text), " is ", id,
                                                   ", the limit is ", kIdLimit - 1, kRemedy));
  }
  if (const std::optional<absl::string_view> owner = Bytes(id); owner.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat("token id is given twice: ", id, " is ",
                                                   Quote(*owner), " and ", Quote(text), kRemedy));
  }
  return absl::OkStatus();
}

void Vocabulary::SetToken(TokenId id, absl::string_view bytes, Origin origin) {
  if (id >= tokens_.size()) tokens_.resize(size_t{id} + 1);
  tokens_[id] = {.begin = static_cast<uint32_t>(bytes_.size()),
                 .size = static_cast<uint32_t>(bytes.size()),
                 .origin = origin};
  bytes_.append(bytes.data(), bytes.size());
}

std::optional<absl::string_view> Vocabulary::Bytes(TokenId id) const {
  if (id >= tokens_.size() || tokens_[id].origin == Origin::kNone) return std::nullopt;
  return absl::string_view(bytes_).substr(tokens_[id].begin, tokens_[id].size);
}

bool Vocabulary::IsSpecial(TokenId id) const {
  return id < tokens_.size() && tokens_[id].origin == Origin::kSpecial;
}

std::optional<TokenId> Vocabulary::FindModelToken(absl::string_view text) const {
  const auto found = model_ids_.find(text);
  return found == model_ids_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<TokenId> Vocabulary::FindAddedToken(absl::string_view text) const {
  const auto found = added_ids_.find(text);
  return found == added_ids_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace spearfish
