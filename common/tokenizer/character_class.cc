#include "common/tokenizer/character_class.h"

#include <utf8proc.h>

#include <cstdint>

namespace spearfish {
namespace {

struct Character {
  utf8proc_int32_t code_point;
  size_t size;
};

Character First(absl::string_view text) {
  Character first{0, 0};
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  const auto size = static_cast<utf8proc_ssize_t>(text.size());
  first.size = static_cast<size_t>(utf8proc_iterate(bytes, size, &first.code_point));
  return first;
}

Character Last(absl::string_view text) {
  size_t begin = text.size() - 1;
  while (begin > 0 && (static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80) --begin;
  return First(text.substr(begin));
}

bool IsWhiteSpace(utf8proc_int32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool IsCircledLetter(utf8proc_int32_t c) {
  return (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
         (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
}

bool IsWordCharacter(utf8proc_int32_t c) {
  switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return IsCircledLetter(c) || c == 0x200C || c == 0x200D;
  }
}

}  // namespace

bool StartsWithWordCharacter(absl::string_view text) {
  return !text.empty() && IsWordCharacter(First(text).code_point);
}

bool EndsWithWordCharacter(absl::string_view text) {
  return !text.empty() && IsWordCharacter(Last(text).code_point);
}

size_t LeadingWhiteSpace(absl::string_view text) {
  size_t bytes = 0;
  while (bytes < text.size()) {
    const Character next = First(text.substr(bytes));
    if (!IsWhiteSpace(next.code_point)) break;
    bytes += next.size;
  }
  return bytes;
}

size_t TrailingWhiteSpace(absl::string_view text) {
  size_t rest = text.size();
  while (rest > 0) {
    const Character last = Last(text.substr(0, rest));
    if (!IsWhiteSpace(last.code_point)) break;
    rest -= last.size;
  }
  return text.size() - rest;
}

}  // namespace spearfish
