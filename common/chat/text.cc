#include "common/chat/text.h"

#include <algorithm>
#include <cstdint>

namespace spearfish::chat {
namespace {

bool IsContinuation(char byte) { return (static_cast<uint8_t>(byte) & 0xC0) == 0x80; }

// Bytes of the character that starts with `lead`; 0 where none does.
size_t SizeByLead(uint8_t lead) {
  if (lead < 0x80) return 1;
  if (lead < 0xC2) return 0;
  if (lead < 0xE0) return 2;
  if (lead < 0xF0) return 3;
  return lead < 0xF5 ? 4 : 0;
}

// Of non-empty valid text.
CodePoint LastCodePoint(absl::string_view text) {
  size_t at = text.size() - 1;
  while (at > 0 && IsContinuation(text[at])) --at;
  return FirstCodePoint(text.substr(at));
}

bool Contains(absl::string_view characters, absl::string_view character) {
  // No character's bytes occur inside another's: UTF-8 is self-synchronising.
  return characters.find(character) != absl::string_view::npos;
}

}  // namespace

bool IsValidUtf8(absl::string_view text) {
  while (!text.empty()) {
    const size_t size = SizeByLead(static_cast<uint8_t>(text[0]));
    if (size == 0 || size > text.size()) return false;
    for (size_t i = 1; i < size; ++i) {
      if (!IsContinuation(text[i])) return false;
    }
    const char32_t value = FirstCodePoint(text).value;
    const bool overlong = (size == 3 && value < 0x800) || (size == 4 && value < 0x10000);
    if (overlong || (value >= 0xD800 && value < 0xE000) || value > 0x10FFFF) return false;
    text.remove_prefix(size);
  }
  return true;
}

bool IsAscii(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char byte) { return static_cast<uint8_t>(byte) < 0x80; });
}

CodePoint FirstCodePoint(absl::string_view text) {
  const auto lead = static_cast<uint8_t>(text[0]);
  const size_t size = SizeByLead(lead);
  if (size <= 1) return {lead, 1};
  char32_t value = lead & (0x7FU >> size);
  for (size_t i = 1; i < size; ++i) value = value << 6 | (static_cast<uint8_t>(text[i]) & 0x3FU);
  return {value, size};
}

size_t NumCodePoints(absl::string_view text) {
  return text.size() - static_cast<size_t>(std::count_if(text.begin(), text.end(), IsContinuation));
}

bool IsPythonSpace(char32_t character) {
  if (character < 0x80) {
    return character == ' ' || (character >= 0x09 && character <= 0x0D) ||
           (character >= 0x1C && character <= 0x1F);
  }
  return character == 0x85 || character == 0xA0 || character == 0x1680 ||
         (character >= 0x2000 && character <= 0x200A) || character == 0x2028 ||
         character == 0x2029 || character == 0x202F || character == 0x205F || character == 0x3000;
}

absl::string_view StripSpaceLeft(absl::string_view text) {
  while (!text.empty()) {
    const CodePoint first = FirstCodePoint(text);
    if (!IsPythonSpace(first.value)) break;
    text.remove_prefix(first.size);
  }
  return text;
}

absl::string_view StripSpaceRight(absl::string_view text) {
  while (!text.empty()) {
    const CodePoint last = LastCodePoint(text);
    if (!IsPythonSpace(last.value)) break;
    text.remove_suffix(last.size);
  }
  return text;
}

absl::string_view StripLeft(absl::string_view text, absl::string_view characters) {
  while (!text.empty()) {
    const size_t size = FirstCodePoint(text).size;
    if (!Contains(characters, text.substr(0, size))) break;
    text.remove_prefix(size);
  }
  return text;
}

absl::string_view StripRight(absl::string_view text, absl::string_view characters) {
  while (!text.empty()) {
    const size_t size = LastCodePoint(text).size;
    if (!Contains(characters, text.substr(text.size() - size))) break;
    text.remove_suffix(size);
  }
  return text;
}

absl::Status ChargeSearch(absl::string_view text, absl::string_view needle, Budget& budget) {
  constexpr size_t kCheapNeedle = 64;
  return budget.ChargeBytes(text.size() * (1 + needle.size() / kCheapNeedle));
}

}  // namespace spearfish::chat
