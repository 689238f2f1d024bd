#include "common/base/trace_context.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"

namespace spearfish {
namespace {

// version "-" trace-id "-" parent-id "-" flags
constexpr size_t kTraceIdBegin = 3;
constexpr size_t kTraceIdLength = 32;
constexpr size_t kParentIdBegin = kTraceIdBegin + kTraceIdLength + 1;
constexpr size_t kParentIdLength = 16;
constexpr size_t kFlagsBegin = kParentIdBegin + kParentIdLength + 1;
constexpr size_t kLength = kFlagsBegin + 2;

constexpr size_t kMaxMembers = 32;
constexpr size_t kMaxKeyLength = 256;
constexpr size_t kMaxTenantLength = 241;
constexpr size_t kMaxSystemLength = 14;
constexpr size_t kMaxValueLength = 256;

bool IsLowerHex(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f'); });
}

bool IsId(absl::string_view text) {
  return IsLowerHex(text) && text.find_first_not_of('0') != absl::string_view::npos;
}

bool IsKeyPart(absl::string_view text, size_t max_length, bool may_begin_with_digit) {
  if (text.empty() || text.size() > max_length) return false;
  if (!absl::ascii_islower(text[0]) && !(may_begin_with_digit && absl::ascii_isdigit(text[0]))) {
    return false;
  }
  return std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_' || c == '-' || c == '*' ||
           c == '/';
  });
}

bool IsKey(absl::string_view key) {
  const size_t at = key.find('@');
  if (at == absl::string_view::npos) return IsKeyPart(key, kMaxKeyLength, false);
  return IsKeyPart(key.substr(0, at), kMaxTenantLength, true) &&
         IsKeyPart(key.substr(at + 1), kMaxSystemLength, false);
}

bool IsValue(absl::string_view value) {
  if (value.empty() || value.size() > kMaxValueLength) return false;
  return std::all_of(value.begin(), value.end(),
                     [](char c) { return c >= ' ' && c <= '~' && c != ',' && c != '='; });
}

absl::string_view WithoutBlanks(absl::string_view text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace

absl::string_view TraceContext::trace_id() const {
  if (traceparent.empty()) return {};
  return absl::string_view(traceparent).substr(kTraceIdBegin, kTraceIdLength);
}

bool IsTraceparent(absl::string_view text) {
  if (text.size() < kLength) return false;
  const absl::string_view version = text.substr(0, 2);
  if (!IsLowerHex(version) || version == "ff") return false;
  // What a later version appends is its own affair.
  if (text.size() > kLength && (version == "00" || text[kLength] != '-')) return false;
  return text[kTraceIdBegin - 1] == '-' && text[kParentIdBegin - 1] == '-' &&
         text[kFlagsBegin - 1] == '-' && IsId(text.substr(kTraceIdBegin, kTraceIdLength)) &&
         IsId(text.substr(kParentIdBegin, kParentIdLength)) &&
         IsLowerHex(text.substr(kFlagsBegin, 2));
}

bool IsTracestate(absl::string_view text) {
  std::vector<absl::string_view> keys;
  for (const absl::string_view between : absl::StrSplit(text, ',')) {
    const absl::string_view member = WithoutBlanks(between);
    if (member.empty()) continue;
    const size_t equals = member.find('=');
    if (equals == absl::string_view::npos) return false;
    const absl::string_view key = member.substr(0, equals);
    if (!IsKey(key) || !IsValue(member.substr(equals + 1))) return false;
    if (keys.size() == kMaxMembers || std::find(keys.begin(), keys.end(), key) != keys.end()) {
      return false;
    }
    keys.push_back(key);
  }
  return true;
}

}  // namespace spearfish
