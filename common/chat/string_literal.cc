#include "common/chat/string_literal.h"

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace spearfish::chat {
namespace {

void AppendUtf8(uint32_t value, std::string& out) {
  if (value < 0x80) {
    out.push_back(static_cast<char>(value));
  } else if (value < 0x800) {
    out.push_back(static_cast<char>(0xC0 | value >> 6));
    out.push_back(static_cast<char>(0x80 | (value & 0x3F)));
  } else if (value < 0x10000) {
    out.push_back(static_cast<char>(0xE0 | value >> 12));
    out.push_back(static_cast<char>(0x80 | (value >> 6 & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (value & 0x3F)));
  } else {
    out.push_back(static_cast<char>(0xF0 | value >> 18));
    out.push_back(static_cast<char>(0x80 | (value >> 12 & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (value >> 6 & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (value & 0x3F)));
  }
}

// `count` hex digits at `at`, which is moved behind them.
absl::Status AppendHex(absl::string_view body, size_t count, size_t& at, std::string& out) {
  const absl::string_view digits = body.substr(at, count);
  uint32_t value = 0;
  bool good = digits.size() == count;
  for (const char digit : digits) good = good && absl::ascii_isxdigit(digit);
  if (!good || !absl::SimpleHexAtoi(digits, &value)) {
    return absl::InvalidArgumentError("a broken escape in a string literal");
  }
  if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) {
    return absl::InvalidArgumentError("an escape that is no character in a string literal");
  }
  at += count;
  AppendUtf8(value, out);
  return absl::OkStatus();
}

// What a one-letter escape stands for; 0 where it is none.
char SimpleEscape(char letter) {
  switch (letter) {
    case 'n':
      return '\n';
    case 't':
      return '\t';
    case 'r':
      return '\r';
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'v':
      return '\v';
    case 'a':
      return '\a';
    case '\\':
    case '\'':
    case '"':
      return letter;
    default:
      return 0;
  }
}

}  // namespace

absl::StatusOr<std::string> UnescapeString(absl::string_view body) {
  std::string out;
  for (size_t at = 0; at < body.size();) {
    if (body[at] != '\\' || at + 1 == body.size()) {
      out.push_back(body[at++]);
      continue;
    }
    const char letter = body[at + 1];
    at += 2;
    if (const char simple = SimpleEscape(letter); simple != 0) {
      out.push_back(simple);
    } else if (letter == 'x') {
      SF_RETURN_IF_ERROR(AppendHex(body, 2, at, out));
    } else if (letter == 'u') {
      SF_RETURN_IF_ERROR(AppendHex(body, 4, at, out));
    } else if (letter == 'U') {
      SF_RETURN_IF_ERROR(AppendHex(body, 8, at, out));
    } else if (letter == 'N' || absl::ascii_isdigit(letter)) {
      return absl::UnimplementedError(
          absl::StrCat("the escape \\", absl::string_view(&letter, 1), " is not supported"));
    } else if (letter != '\n') {  // a backslash before a line's end joins the lines
      out.push_back('\\');
      out.push_back(letter);
    }
  }
  return out;
}

}  // namespace spearfish::chat
