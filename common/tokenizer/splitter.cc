#include "common/tokenizer/splitter.h"

#include <vector>

#include "common/base/status_macros.h"

namespace spearfish {
namespace {

struct Span {
  ByteRange range;
  bool is_delimiter;
};

// The matches and the text between them, in order, covering [0, size).
std::vector<Span> CoverText(const std::vector<ByteRange>& matches, size_t size, bool invert) {
  std::vector<Span> spans;
  spans.reserve(2 * matches.size() + 1);
  size_t end = 0;
  for (const ByteRange& match : matches) {
    if (match.begin > end) spans.push_back({{end, match.begin}, invert});
    spans.push_back({match, !invert});
    end = match.end;
  }
  if (end < size) spans.push_back({{end, size}, invert});
  return spans;
}

// Whether a piece goes on across the border between two neighbouring spans.
bool Joins(SplitBehavior behavior, const Span& left, const Span& right) {
  switch (behavior) {
    case SplitBehavior::kMergedWithPrevious:
      return !left.is_delimiter && right.is_delimiter;
    case SplitBehavior::kMergedWithNext:
      return left.is_delimiter && !right.is_delimiter;
    case SplitBehavior::kContiguous:
      return left.is_delimiter == right.is_delimiter;
    case SplitBehavior::kRemoved:
    case SplitBehavior::kIsolated:
      break;
  }
  return false;
}

}  // namespace

absl::StatusOr<Splitter> Splitter::Create(const SplitSpec& spec) {
  SF_ASSIGN_OR_RETURN(Regex regex, Regex::Create(spec.kind, spec.pattern));
  return Splitter(std::move(regex), spec.behavior, spec.invert);
}

absl::Status Splitter::Split(absl::string_view text, PieceFunction piece) const {
  SF_ASSIGN_OR_RETURN(const std::vector<ByteRange> matches, regex_.FindAll(text));
  const std::vector<Span> spans = CoverText(matches, text.size(), invert_);
  for (size_t i = 0; i < spans.size(); ++i) {
    if (behavior_ == SplitBehavior::kRemoved && spans[i].is_delimiter) continue;
    const size_t begin = spans[i].range.begin;
    while (i + 1 < spans.size() && Joins(behavior_, spans[i], spans[i + 1])) ++i;
    const size_t end = spans[i].range.end;
    if (begin == end) continue;
    SF_RETURN_IF_ERROR(piece(text.substr(begin, end - begin)));
  }
  return absl::OkStatus();
}

}  // namespace spearfish
