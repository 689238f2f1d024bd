// Finds added tokens in text.
#ifndef COMMON_TOKENIZER_ADDED_TOKENS_H_
#define COMMON_TOKENIZER_ADDED_TOKENS_H_

#include <bitset>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/tokenizer/tokenizer.h"
#include "common/tokenizer/tokenizer_spec.h"

namespace spearfish {

// A set of added tokens that are looked for in the same text (all normalised, or none). Owns their
// texts as a trie. Immutable after construction; any thread may call Split.
class AddedTokens {
 public:
  // A token found in the text, or (without id) the text up to the next one.
  struct Segment {
    std::optional<TokenId> id;
    absl::string_view text;
  };
  using SegmentFunction = absl::FunctionRef<absl::Status(const Segment& segment)>;

  // `tokens` must have non-empty texts that differ.
  explicit AddedTokens(const std::vector<AddedToken>& tokens);

  // Cuts `text` (valid UTF-8) at the added tokens in it: the leftmost, and of those the longest.
  // One that may not count there (single_word, or special with kAsText) stays text. Calls `segment`
  // from left to right, never with empty text; stops at the first error and returns it.
  absl::Status Split(absl::string_view text, Tokenizer::SpecialTokens special,
                     SegmentFunction segment) const;

 private:
  struct Rule {
    TokenId id;
    bool single_word;
    bool lstrip;
    bool rstrip;
    bool special;
  };
  struct Node {
    std::optional<uint32_t> rule;  // a token ends here
  };
  struct Match {
    size_t end;
    uint32_t rule;
  };

  std::optional<Match> LongestAt(absl::string_view text, size_t begin) const;

  std::vector<Rule> rules_;
  std::vector<Node> nodes_;                           // 0 is the root
  absl::flat_hash_map<uint64_t, uint32_t> children_;  // node << 8 | byte -> node
  std::bitset<256> first_bytes_;
};

}  // namespace spearfish

#endif  // COMMON_TOKENIZER_ADDED_TOKENS_H_
