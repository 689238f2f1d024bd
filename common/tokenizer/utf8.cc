#include "common/tokenizer/utf8.h"

#include <cstdint>

namespace spearfish {
namespace {

// Table 3-7 of the Unicode Standard: how long a character is by its first byte, and the range of
// the second byte, which rules out overlong forms, surrogates and values above U+10FFFF.
struct Utf8Lead {
  size_t size = 0;  // 0: no character starts with this byte
  uint8_t second_least = 0x80;
  uint8_t second_most = 0xBF;
};

constexpr Utf8Lead LeadOf(uint8_t byte) {
  if (byte < 0x80) return {.size = 1};
  if (byte < 0xC2) return {};
  if (byte < 0xE0) return {.size = 2};
  if (byte == 0xE0) return {.size = 3, .second_least = 0xA0};
  if (byte == 0xED) return {.size = 3, .second_most = 0x9F};
  if (byte < 0xF0) return {.size = 3};
  if (byte == 0xF0) return {.size = 4, .second_least = 0x90};
  if (byte < 0xF4) return {.size = 4};
  if (byte == 0xF4) return {.size = 4, .second_most = 0x8F};
  return {};
}

}  // namespace

Utf8Step NextUtf8(absl::string_view bytes) {
  const Utf8Lead lead = LeadOf(static_cast<uint8_t>(bytes.front()));
  if (lead.size == 0) return {Utf8Kind::kInvalid, 1};
  for (size_t i = 1; i < lead.size; ++i) {
    if (i == bytes.size()) return {Utf8Kind::kUnfinished, i};
    const uint8_t byte = static_cast<uint8_t>(bytes[i]);
    const uint8_t least = i == 1 ? lead.second_least : uint8_t{0x80};
    const uint8_t most = i == 1 ? lead.second_most : uint8_t{0xBF};
    if (byte < least || byte > most) return {Utf8Kind::kInvalid, i};
  }
  return {Utf8Kind::kCharacter, lead.size};
}

size_t ValidUtf8Prefix(absl::string_view bytes) {
  size_t at = 0;
  while (at < bytes.size()) {
    const Utf8Step step = NextUtf8(bytes.substr(at));
    if (step.kind != Utf8Kind::kCharacter) break;
    at += step.size;
  }
  return at;
}

size_t AppendLossyUtf8(absl::string_view bytes, std::string& out) {
  size_t at = 0;
  while (at < bytes.size()) {
    const size_t valid = ValidUtf8Prefix(bytes.substr(at));
    out.append(bytes.data() + at, valid);
    at += valid;
    if (at == bytes.size()) break;
    const Utf8Step step = NextUtf8(bytes.substr(at));
    if (step.kind == Utf8Kind::kUnfinished) break;
    out.append(kReplacementCharacter.data(), kReplacementCharacter.size());
    at += step.size;
  }
  return at;
}

}  // namespace spearfish
