#include "common/tokenizer/detokenizer.h"

#include <utility>

#include "common/tokenizer/utf8.h"

namespace spearfish {

Detokenizer::Detokenizer(const Tokenizer& tokenizer, Tokenizer::SpecialTokens special)
    : tokenizer_(tokenizer), special_(special) {}

std::string Detokenizer::Append(TokenId id) {
  std::string text;
  if (special_ == Tokenizer::SpecialTokens::kParse && tokenizer_.IsSpecial(id)) return text;
  const absl::StatusOr<absl::string_view> bytes = tokenizer_.TokenBytes(id);
  if (!bytes.ok()) return text;
  pending_.append(bytes->data(), bytes->size());
  pending_.erase(0, AppendLossyUtf8(pending_, text));
  return text;
}

std::string Detokenizer::Flush() {
  if (pending_.empty()) return {};
  pending_.clear();
  return std::string(kReplacementCharacter.data(), kReplacementCharacter.size());
}

}  // namespace spearfish
