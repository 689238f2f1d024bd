// Byte-pair encoding: a word's bytes to the ids of its tokens.
#ifndef COMMON_TOKENIZER_BPE_MODEL_H_
#define COMMON_TOKENIZER_BPE_MODEL_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/tokenizer/tokenizer_spec.h"
#include "common/tokenizer/vocabulary.h"

namespace spearfish {

// The merges, and which token each byte is. Immutable after Create; any thread may encode. The
// vocabulary must outlive it.
class BpeModel {
 public:
  // One token of a word that is being merged; the live ones are a list in text order.
  struct Symbol {
    TokenId id;
    uint32_t previous;
    uint32_t next;
  };
  // Memory of EncodeWord, kept from word to word by the caller.
  struct Workspace {
    std::vector<Symbol> symbols;
    std::vector<uint64_t> candidates;
  };

  // InvalidArgument, naming the merge, if a part of it or its result is not in the vocabulary, and
  // for an unk_token that is not.
  static absl::StatusOr<BpeModel> Create(const Vocabulary& vocabulary, const ModelSpec& spec);

  // Appends the tokens of `word` to `ids`: from single bytes, the best-ranked neighbouring pair is
  // merged first, of equals the leftmost. O(n log n). InvalidArgument for a byte that no token
  // stands for when the model has no unk_token (Hugging Face would drop it without a word).
  absl::Status EncodeWord(absl::string_view word, Workspace& workspace,
                          std::vector<TokenId>& ids) const;

 private:
  struct Merge {
    TokenId left;
    TokenId right;
    TokenId result;
  };

  explicit BpeModel(const Vocabulary& vocabulary) : vocabulary_(&vocabulary) {}

  absl::Status AddMerge(const std::pair<std::string, std::string>& parts);
  absl::Status FillSymbols(absl::string_view word, std::vector<Symbol>& symbols) const;
  void PushCandidate(const std::vector<Symbol>& symbols, uint32_t position,
                     std::vector<uint64_t>& candidates) const;
  void MergeSymbols(Workspace& workspace) const;

  const Vocabulary* vocabulary_;
  std::array<std::optional<TokenId>, 256> byte_ids_;
  std::vector<Merge> merges_;                      // by rank
  absl::flat_hash_map<uint64_t, uint32_t> ranks_;  // left << 32 | right -> rank
  std::optional<TokenId> unk_id_;
  bool fuse_unk_ = false;
  bool ignore_merges_ = false;
};

}  // namespace spearfish

#endif  // COMMON_TOKENIZER_BPE_MODEL_H_
