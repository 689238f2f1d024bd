#include "common/tokenizer/byte_level.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace spearfish {
namespace {

constexpr bool IsPrintableLatin1(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) ||
         (byte >= 0xAE && byte <= 0xFF);
}

constexpr size_t kNumShifted = 68;                            // bytes that are not printable
constexpr size_t kAlphabetEnd = size_t{0x100} + kNumShifted;  // one past the largest code point

constexpr std::array<uint16_t, 256> MakeByteToCodePoint() {
  std::array<uint16_t, 256> table{};
  uint16_t shifted = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    table[byte] = IsPrintableLatin1(byte) ? static_cast<uint16_t>(byte) : shifted++;
  }
  return table;
}

constexpr std::array<uint16_t, 256> kByteToCodePoint = MakeByteToCodePoint();

constexpr int16_t kNoByte = -1;

constexpr std::array<int16_t, kAlphabetEnd> MakeCodePointToByte() {
  std::array<int16_t, kAlphabetEnd> table{};
  for (int16_t& byte : table) byte = kNoByte;
  for (int byte = 0; byte < 256; ++byte) table[kByteToCodePoint[byte]] = static_cast<int16_t>(byte);
  return table;
}

constexpr std::array<int16_t, kAlphabetEnd> kCodePointToByte = MakeCodePointToByte();

}  // namespace

std::string BytesToAlphabet(absl::string_view bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char byte : bytes) {
    const uint16_t code_point = kByteToCodePoint[static_cast<uint8_t>(byte)];
    if (code_point < 0x80) {
      text.push_back(static_cast<char>(code_point));
    } else {
      text.push_back(static_cast<char>(0xC0 | (code_point >> 6)));
      text.push_back(static_cast<char>(0x80 | (code_point & 0x3F)));
    }
  }
  return text;
}

std::optional<std::string> AlphabetToBytes(absl::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    size_t code_point = static_cast<uint8_t>(text[i]);
    if (code_point >= 0x80) {
      // Every character of the alphabet fits two bytes of UTF-8.
      if (code_point < 0xC2 || code_point > 0xDF || i + 1 == text.size()) return std::nullopt;
      const uint8_t second = static_cast<uint8_t>(text[++i]);
      if ((second & 0xC0) != 0x80) return std::nullopt;
      code_point = (code_point & 0x1F) << 6 | (second & 0x3F);
    }
    if (code_point >= kAlphabetEnd || kCodePointToByte[code_point] == kNoByte) return std::nullopt;
    bytes.push_back(static_cast<char>(kCodePointToByte[code_point]));
  }
  return bytes;
}

}  // namespace spearfish
