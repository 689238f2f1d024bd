#include "common/tokenizer/pre_tokenizer.h"

#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace spearfish {
namespace {

// The words of GPT-2: contractions, letters, digits and the rest, each with the space before it.
constexpr char kGpt2Words[] =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

}  // namespace

absl::StatusOr<PreTokenizer> PreTokenizer::Create(const PreTokenizerSpec& spec) {
  PreTokenizer pre_tokenizer;
  for (const SplitSpec& split : spec.splits) {
    SF_ASSIGN_OR_RETURN(Splitter splitter, Splitter::Create(split));
    pre_tokenizer.splitters_.push_back(std::move(splitter));
  }
  pre_tokenizer.add_prefix_space_ = spec.add_prefix_space;
  if (spec.use_word_regex) {
    SF_ASSIGN_OR_RETURN(pre_tokenizer.word_splitter_, Splitter::Create({.pattern = kGpt2Words}));
  }
  return pre_tokenizer;
}

absl::Status PreTokenizer::Split(absl::string_view text, WordFunction word) const {
  return SplitFrom(0, text, word);
}

absl::Status PreTokenizer::SplitFrom(size_t stage, absl::string_view text,
                                     WordFunction word) const {
  if (stage == splitters_.size()) return ByteLevel(text, word);
  return splitters_[stage].Split(
      text, [&](absl::string_view piece) { return SplitFrom(stage + 1, piece, word); });
}

absl::Status PreTokenizer::ByteLevel(absl::string_view text, WordFunction word) const {
  if (text.empty()) return absl::OkStatus();
  std::string prefixed;
  if (add_prefix_space_ && !absl::StartsWith(text, " ")) {
    prefixed = absl::StrCat(" ", text);
    text = prefixed;
  }
  return word_splitter_.has_value() ? word_splitter_->Split(text, word) : word(text);
}

}  // namespace spearfish
