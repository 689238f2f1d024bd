#include "common/tokenizer/added_tokens.h"

#include <algorithm>

#include "common/base/status_macros.h"
#include "common/tokenizer/character_class.h"

namespace spearfish {
namespace {

uint64_t Edge(uint32_t node, char byte) {
  return static_cast<uint64_t>(node) << 8 | static_cast<uint8_t>(byte);
}

}  // namespace

AddedTokens::AddedTokens(const std::vector<AddedToken>& tokens) : nodes_(1) {
  for (const AddedToken& token : tokens) {
    uint32_t node = 0;
    for (const char byte : token.text) {
      const auto [child, is_new] =
          children_.try_emplace(Edge(node, byte), static_cast<uint32_t>(nodes_.size()));
      if (is_new) nodes_.emplace_back();
      node = child->second;
    }
    first_bytes_.set(static_cast<uint8_t>(token.text.front()));
    nodes_[node].rule = static_cast<uint32_t>(rules_.size());
    rules_.push_back({.id = token.id,
                      .single_word = token.single_word,
                      .lstrip = token.lstrip,
                      .rstrip = token.rstrip,
                      .special = token.special});
  }
}

std::optional<AddedTokens::Match> AddedTokens::LongestAt(absl::string_view text,
                                                         size_t begin) const {
  std::optional<Match> longest;
  uint32_t node = 0;
  for (size_t at = begin; at < text.size(); ++at) {
    const auto child = children_.find(Edge(node, text[at]));
    if (child == children_.end()) break;
    node = child->second;
    if (nodes_[node].rule.has_value()) longest = Match{at + 1, *nodes_[node].rule};
  }
  return longest;
}

absl::Status AddedTokens::Split(absl::string_view text, Tokenizer::SpecialTokens special,
                                SegmentFunction segment) const {
  size_t done = 0;  // everything before was handed out
  size_t at = 0;
  while (at < text.size()) {
    if (!first_bytes_[static_cast<uint8_t>(text[at])]) {
      ++at;
      continue;
    }
    const std::optional<Match> match = LongestAt(text, at);
    if (!match.has_value()) {
      ++at;
      continue;
    }
    size_t begin = at;
    size_t end = match->end;
    at = end;
    const Rule& rule = rules_[match->rule];
    if (rule.special && special == Tokenizer::SpecialTokens::kAsText) continue;
    if (rule.single_word &&
        (EndsWithWordCharacter(text.substr(0, begin)) || StartsWithWordCharacter(text.substr(end))))
      continue;
    if (rule.lstrip)
      begin = std::max(done, begin - TrailingWhiteSpace(text.substr(done, begin - done)));
    if (rule.rstrip) end += LeadingWhiteSpace(text.substr(end));
    if (begin > done) SF_RETURN_IF_ERROR(segment({std::nullopt, text.substr(done, begin - done)}));
    SF_RETURN_IF_ERROR(segment({rule.id, text.substr(begin, end - begin)}));
    done = end;
    at = end;
  }
  if (done < text.size()) return segment({std::nullopt, text.substr(done)});
  return absl::OkStatus();
}

}  // namespace spearfish
