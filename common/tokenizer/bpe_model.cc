#include "common/tokenizer/bpe_model.h"

#include <algorithm>
#include <functional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "common/tokenizer/byte_level.h"
#include "common/tokenizer/quote.h"

namespace spearfish {
namespace {

constexpr uint32_t kEnd = UINT32_MAX;    // no neighbour
constexpr TokenId kMerged = UINT32_MAX;  // a symbol that its left neighbour has taken in

uint64_t Pair(uint32_t high, uint32_t low) { return static_cast<uint64_t>(high) << 32 | low; }

}  // namespace

absl::StatusOr<BpeModel> BpeModel::Create(const Vocabulary& vocabulary, const ModelSpec& spec) {
  BpeModel model(vocabulary);
  for (int byte = 0; byte < 256; ++byte) {
    const char raw = static_cast<char>(byte);
    model.byte_ids_[byte] = vocabulary.FindModelToken(BytesToAlphabet({&raw, 1}));
  }
  model.merges_.reserve(spec.merges.size());
  model.ranks_.reserve(spec.merges.size());
  for (const auto& parts : spec.merges) SF_RETURN_IF_ERROR(model.AddMerge(parts));
  if (spec.unk_token.has_value()) {
    model.unk_id_ = vocabulary.FindModelToken(*spec.unk_token);
    if (!model.unk_id_.has_value()) {
      return absl::InvalidArgumentError(
          absl::StrCat("unk_token is not in the vocabulary: ", Quote(*spec.unk_token),
                       "; download tokenizer.json again"));
    }
  }
  model.fuse_unk_ = spec.fuse_unk;
  model.ignore_merges_ = spec.ignore_merges;
  return model;
}

absl::Status BpeModel::AddMerge(const std::pair<std::string, std::string>& parts) {
  const uint32_t rank = static_cast<uint32_t>(merges_.size());
  const std::string joined = absl::StrCat(parts.first, parts.second);
  for (const std::string& text : {parts.first, parts.second, joined}) {
    if (vocabulary_->FindModelToken(text).has_value()) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("merge names an unknown token: merge ", rank, " joins ", Quote(parts.first),
                     " and ", Quote(parts.second), ", but ", Quote(text),
                     " is not in the vocabulary; download tokenizer.json again"));
  }
  const Merge merge{.left = *vocabulary_->FindModelToken(parts.first),
                    .right = *vocabulary_->FindModelToken(parts.second),
                    .result = *vocabulary_->FindModelToken(joined)};
  merges_.push_back(merge);
  ranks_[Pair(merge.left, merge.right)] = rank;
  return absl::OkStatus();
}

absl::Status BpeModel::EncodeWord(absl::string_view word, Workspace& workspace,
                                  std::vector<TokenId>& ids) const {
  if (ignore_merges_) {
    const std::optional<TokenId> whole = vocabulary_->FindModelToken(BytesToAlphabet(word));
    // Text must never turn into a control token.
    if (whole.has_value() && !vocabulary_->IsSpecial(*whole)) {
      ids.push_back(*whole);
      return absl::OkStatus();
    }
  }
  SF_RETURN_IF_ERROR(FillSymbols(word, workspace.symbols));
  MergeSymbols(workspace);
  if (workspace.symbols.empty()) return absl::OkStatus();
  for (uint32_t at = 0; at != kEnd; at = workspace.symbols[at].next) {
    ids.push_back(workspace.symbols[at].id);
  }
  return absl::OkStatus();
}

absl::Status BpeModel::FillSymbols(absl::string_view word, std::vector<Symbol>& symbols) const {
  symbols.clear();
  bool after_unknown = false;
  for (const char raw : word) {
    const uint8_t byte = static_cast<uint8_t>(raw);
    std::optional<TokenId> id = byte_ids_[byte];
    const bool unknown = !id.has_value();
    if (unknown && !unk_id_.has_value()) {
      return absl::InvalidArgumentError(
          absl::StrFormat("text holds a byte that no token stands for: 0x%02X; the model was "
                          "trained without it",
                          byte));
    }
    const bool fused = unknown && after_unknown && fuse_unk_;
    after_unknown = unknown;
    if (fused) continue;
    if (unknown) id = unk_id_;
    const uint32_t at = static_cast<uint32_t>(symbols.size());
    if (at > 0) symbols.back().next = at;
    symbols.push_back({.id = *id, .previous = at > 0 ? at - 1 : kEnd, .next = kEnd});
  }
  return absl::OkStatus();
}

// A candidate is rank << 32 | position of the left symbol, so the smallest is merged next.
void BpeModel::PushCandidate(const std::vector<Symbol>& symbols, uint32_t position,
                             std::vector<uint64_t>& candidates) const {
  const Symbol& left = symbols[position];
  const auto rank = ranks_.find(Pair(left.id, symbols[left.next].id));
  if (rank == ranks_.end()) return;
  candidates.push_back(Pair(rank->second, position));
}

void BpeModel::MergeSymbols(Workspace& workspace) const {
  std::vector<Symbol>& symbols = workspace.symbols;
  std::vector<uint64_t>& candidates = workspace.candidates;
  candidates.clear();
  for (uint32_t at = 0; at + 1 < symbols.size(); ++at) PushCandidate(symbols, at, candidates);
  const std::greater<> smallest_first;
  std::make_heap(candidates.begin(), candidates.end(), smallest_first);
  const auto push = [&](uint32_t position) {
    const size_t before = candidates.size();
    PushCandidate(symbols, position, candidates);
    if (candidates.size() > before) {
      std::push_heap(candidates.begin(), candidates.end(), smallest_first);
    }
  };
  while (!candidates.empty()) {
    std::pop_heap(candidates.begin(), candidates.end(), smallest_first);
    const Merge& merge = merges_[candidates.back() >> 32];
    const uint32_t at = static_cast<uint32_t>(candidates.back());
    candidates.pop_back();
    Symbol& left = symbols[at];
    // Stale if either side was merged with something else since.
    if (left.id != merge.left || left.next == kEnd || symbols[left.next].id != merge.right)
      continue;
    Symbol& right = symbols[left.next];
    left.id = merge.result;
    left.next = right.next;
    right.id = kMerged;
    if (left.next != kEnd) {
      symbols[left.next].previous = at;
      push(at);
    }
    if (left.previous != kEnd) push(left.previous);
  }
}

}  // namespace spearfish
