#include "common/base/log_line.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace spearfish {
namespace {

constexpr char kReplacement[] = "\xef\xbf\xbd";  // U+FFFD

bool IsContinuation(absl::string_view text, size_t at, uint8_t low = 0x80, uint8_t high = 0xbf) {
  if (at >= text.size()) return false;
  const auto byte = static_cast<uint8_t>(text[at]);
  return byte >= low && byte <= high;
}

// Bytes of the well-formed character that begins at `at` with a byte from 0x80 on; 0 if none does
// (Unicode 15, table 3-7: no surrogates, no overlong forms, nothing past U+10FFFF).
size_t CharacterBytes(absl::string_view text, size_t at) {
  const auto first = static_cast<uint8_t>(text[at]);
  if (first >= 0xc2 && first <= 0xdf) return IsContinuation(text, at + 1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    const uint8_t low = first == 0xe0 ? 0xa0 : 0x80;
    const uint8_t high = first == 0xed ? 0x9f : 0xbf;
    return IsContinuation(text, at + 1, low, high) && IsContinuation(text, at + 2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const uint8_t low = first == 0xf0 ? 0x90 : 0x80;
    const uint8_t high = first == 0xf4 ? 0x8f : 0xbf;
    return IsContinuation(text, at + 1, low, high) && IsContinuation(text, at + 2) &&
                   IsContinuation(text, at + 3)
               ? 4
               : 0;
  }
  return 0;
}

void AppendJsonString(absl::string_view text, std::string& out) {
  out += '"';
  for (size_t i = 0; i < text.size();) {
    const auto byte = static_cast<uint8_t>(text[i]);
    if (byte >= 0x80) {
      const size_t bytes = CharacterBytes(text, i);
      absl::StrAppend(&out, bytes == 0 ? kReplacement : text.substr(i, bytes));
      i += std::max<size_t>(bytes, 1);
      continue;
    }
    if (byte == '"' || byte == '\\') {
      out += {'\\', static_cast<char>(byte)};
    } else if (byte < 0x20 || byte == 0x7f) {
      absl::StrAppendFormat(&out, "\\u%04x", byte);
    } else {
      out += static_cast<char>(byte);
    }
    ++i;
  }
  out += '"';
}

// Also JSON's form of a number, which has none for infinity.
std::string ToText(double value) {
  return std::isfinite(value) ? absl::StrFormat("%.3f", value) : "0";
}

bool IsPlain(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isgraph(static_cast<unsigned char>(c)) && c != '"' && c != '\\' && c != '=';
  });
}

bool IsLeftOut(const LogField& field) {
  if (const auto* text = std::get_if<absl::string_view>(&field.value)) return text->empty();
  const auto* number = std::get_if<double>(&field.value);
  return number != nullptr && std::isnan(*number);
}

}  // namespace

std::string TextLine(absl::string_view message, std::span<const LogField> fields) {
  std::string line(message);
  for (const LogField& field : fields) {
    if (IsLeftOut(field)) continue;
    absl::StrAppend(&line, " ", field.key, "=");
    if (const auto* text = std::get_if<absl::string_view>(&field.value)) {
      line += IsPlain(*text) ? std::string(*text) : absl::StrCat("\"", absl::CEscape(*text), "\"");
    } else if (const auto* number = std::get_if<int64_t>(&field.value)) {
      absl::StrAppend(&line, *number);
    } else {
      line += ToText(std::get<double>(field.value));
    }
  }
  return line;
}

std::string JsonMembers(absl::string_view process, absl::string_view message,
                        std::span<const LogField> fields) {
  std::string out = "\"process\":";
  AppendJsonString(process, out);
  out += ",\"message\":";
  AppendJsonString(message, out);
  for (const LogField& field : fields) {
    if (IsLeftOut(field)) continue;
    absl::StrAppend(&out, ",\"", field.key, "\":");
    if (const auto* text = std::get_if<absl::string_view>(&field.value)) {
      AppendJsonString(*text, out);
    } else if (const auto* number = std::get_if<int64_t>(&field.value)) {
      absl::StrAppend(&out, *number);
    } else {
      out += ToText(std::get<double>(field.value));
    }
  }
  return out;
}

}  // namespace spearfish
