#include "common/chat/string_operations.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/chat/text.h"
#include "common/chat/value_text.h"

namespace spearfish::chat {
namespace {

size_t AtMost(int64_t limit) {
  return limit < 0 ? std::numeric_limits<size_t>::max() : static_cast<size_t>(limit);
}

absl::StatusOr<Value> ListOf(const std::vector<absl::string_view>& parts, Budget& budget) {
  SF_RETURN_IF_ERROR(budget.Charge(parts.size()));
  std::vector<Value> items;
  items.reserve(parts.size());
  for (const absl::string_view part : parts) items.push_back(Value::String(part));
  return Value::OfList(std::move(items));
}

// Bytes at the start of `text` up to white space.
size_t WordSize(absl::string_view text) {
  size_t size = 0;
  while (size < text.size()) {
    const CodePoint next = FirstCodePoint(text.substr(size));
    if (IsPythonSpace(next.value)) break;
    size += next.size;
  }
  return size;
}

std::vector<absl::string_view> WordsFromLeft(absl::string_view text, size_t limit) {
  std::vector<absl::string_view> words;
  text = StripSpaceLeft(text);
  while (!text.empty()) {
    const size_t size = words.size() == limit ? text.size() : WordSize(text);
    words.push_back(text.substr(0, size));
    text = StripSpaceLeft(text.substr(size));
  }
  return words;
}

}  // namespace

absl::StatusOr<Value> Split(absl::string_view text, absl::string_view separator, int64_t limit,
                            From from, Budget& budget) {
  if (separator.empty()) return absl::InvalidArgumentError("a split at an empty separator");
  SF_RETURN_IF_ERROR(ChargeSearch(text, separator, budget));
  std::vector<absl::string_view> parts;
  const size_t cuts = AtMost(limit);
  while (parts.size() < cuts) {
    const size_t at = from == From::kLeft ? text.find(separator) : text.rfind(separator);
    if (at == absl::string_view::npos) break;
    const absl::string_view behind = text.substr(at + separator.size());
    parts.push_back(from == From::kLeft ? text.substr(0, at) : behind);
    text = from == From::kLeft ? behind : text.substr(0, at);
  }
  parts.push_back(text);
  if (from == From::kRight) std::reverse(parts.begin(), parts.end());
  return ListOf(parts, budget);
}

absl::StatusOr<Value> SplitWords(absl::string_view text, int64_t limit, From from, Budget& budget) {
  SF_RETURN_IF_ERROR(budget.ChargeBytes(text.size()));
  if (from == From::kRight && limit >= 0) {
    return absl::UnimplementedError("rsplit at white space with a limit is not supported");
  }
  std::vector<absl::string_view> words = WordsFromLeft(text, AtMost(limit));
  return ListOf(words, budget);
}

absl::StatusOr<Value> Replace(absl::string_view text, absl::string_view what, absl::string_view by,
                              int64_t limit, Budget& budget) {
  if (what.empty()) return absl::UnimplementedError("replacing an empty text is not supported");
  SF_RETURN_IF_ERROR(ChargeSearch(text, what, budget));
  std::string out;
  for (size_t left = AtMost(limit); left > 0; --left) {
    const size_t at = text.find(what);
    if (at == absl::string_view::npos) break;
    SF_RETURN_IF_ERROR(budget.ChargeBytes(by.size()));
    absl::StrAppend(&out, text.substr(0, at), by);
    text.remove_prefix(at + what.size());
  }
  absl::StrAppend(&out, text);
  return Value::String(std::move(out));
}

absl::StatusOr<Value> Join(const std::vector<Value>& items, absl::string_view separator,
                           bool only_strings, Budget& budget) {
  std::string out;
  for (size_t i = 0; i < items.size(); ++i) {
    if (only_strings && !items[i].is(Value::Kind::kString)) {
      return absl::InvalidArgumentError(absl::StrCat("join of ", items[i].TypeName()));
    }
    SF_RETURN_IF_ERROR(budget.ChargeBytes(separator.size()));
    if (i > 0) absl::StrAppend(&out, separator);
    SF_RETURN_IF_ERROR(AppendText(items[i], budget, out));
  }
  return Value::String(std::move(out));
}

absl::StatusOr<Value> ChangeCase(absl::string_view text, Case to, Budget& budget) {
  SF_RETURN_IF_ERROR(budget.ChargeBytes(text.size()));
  if (!IsAscii(text)) {
    return absl::UnimplementedError("upper and lower case beyond ASCII are not supported");
  }
  if (to == Case::kUpper) return Value::String(absl::AsciiStrToUpper(text));
  std::string out = absl::AsciiStrToLower(text);
  if (to == Case::kCapitalize && !out.empty()) out[0] = absl::ascii_toupper(out[0]);
  return Value::String(std::move(out));
}

}  // namespace spearfish::chat
