#include "common/tokenizer/splitter.h"

#include <optional>

#include "common/base/status_macros.h"

namespace spearfish {
namespace {

struct Span {
  ByteRange range;
  bool is_delimiter;
};

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

// Joins spans that come in text order, and covers the text, into pieces.
class PieceBuilder {
 public:
  PieceBuilder(absl::string_view text, SplitBehavior behavior, Splitter::PieceFunction piece)
      : text_(text), behavior_(behavior), piece_(piece) {}

  absl::Status Add(const Span& span) {
    if (last_.has_value() && Joins(behavior_, *last_, span)) {
      last_ = span;
      return absl::OkStatus();
    }
    SF_RETURN_IF_ERROR(Finish());
    begin_ = span.range.begin;
    last_ = span;
    return absl::OkStatus();
  }

  // Hands out the piece that was being joined.
  absl::Status Finish() {
    if (!last_.has_value() || begin_ == last_->range.end) return absl::OkStatus();
    if (behavior_ == SplitBehavior::kRemoved && last_->is_delimiter) return absl::OkStatus();
    return piece_(text_.substr(begin_, last_->range.end - begin_));
  }

 private:
  const absl::string_view text_;
  const SplitBehavior behavior_;
  const Splitter::PieceFunction piece_;
  size_t begin_ = 0;  // of the piece that ends with last_
  std::optional<Span> last_;
};

}  // namespace

absl::StatusOr<Splitter> Splitter::Create(const SplitSpec& spec) {
  SF_ASSIGN_OR_RETURN(Regex regex, Regex::Create(spec.kind, spec.pattern));
  return Splitter(std::move(regex), spec.behavior, spec.invert);
}

absl::Status Splitter::Split(absl::string_view text, PieceFunction piece) const {
  PieceBuilder pieces(text, behavior_, piece);
  size_t end = 0;  // of the previous match
  const auto add_match = [&](const ByteRange& match) -> absl::Status {
    if (match.begin > end) SF_RETURN_IF_ERROR(pieces.Add({{end, match.begin}, invert_}));
    end = match.end;
    return pieces.Add({match, !invert_});
  };
  SF_RETURN_IF_ERROR(regex_.ForEachMatch(text, add_match));
  if (end < text.size()) SF_RETURN_IF_ERROR(pieces.Add({{end, text.size()}, invert_}));
  return pieces.Finish();
}

}  // namespace spearfish
