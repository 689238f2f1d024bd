#include "worker/engine/stop_matcher.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace spearfish::worker {
namespace {

std::vector<uint32_t> Borders(const std::string& text) {
  std::vector<uint32_t> borders(text.size(), 0);
  uint32_t length = 0;
  for (size_t i = 1; i < text.size(); ++i) {
    while (length > 0 && text[length] != text[i]) length = borders[length - 1];
    if (text[length] == text[i]) ++length;
    borders[i] = length;
  }
  return borders;
}

}  // namespace

StopStrings::StopStrings(std::vector<std::string> strings) : strings_(std::move(strings)) {
  borders_.reserve(strings_.size());
  for (const std::string& text : strings_) {
    SF_CHECK(!text.empty());
    borders_.push_back(Borders(text));
  }
}

uint32_t StopStrings::Advance(size_t i, uint32_t matched, char next) const {
  const std::string& text = strings_[i];
  while (matched > 0 && text[matched] != next) matched = borders_[i][matched - 1];
  return text[matched] == next ? matched + 1 : 0;
}

std::optional<size_t> StopMatcher::Step(char next) {
  std::optional<size_t> longest;
  for (size_t i = 0; i < matched_.size(); ++i) {
    matched_[i] = strings_.Advance(i, matched_[i], next);
    const uint32_t length = static_cast<uint32_t>(strings_.string(i).size());
    if (matched_[i] < length) continue;
    matched_[i] = strings_.Border(i, length);
    if (!longest || strings_.string(*longest).size() < length) longest = i;
  }
  return longest;
}

std::optional<StopMatcher::Match> StopMatcher::Append(absl::string_view piece, StopMode mode) {
  for (size_t i = 0; i < piece.size(); ++i) {
    const std::optional<size_t> found = Step(piece[i]);
    if (found && mode == StopMode::kStop) return Match{*found, i + 1};
  }
  return std::nullopt;
}

size_t StopMatcher::num_held_bytes() const {
  return matched_.empty() ? 0 : *std::max_element(matched_.begin(), matched_.end());
}

}  // namespace spearfish::worker
