// Strings as Python sees them: sequences of code points, in valid UTF-8.
#ifndef COMMON_CHAT_TEXT_H_
#define COMMON_CHAT_TEXT_H_

#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/chat/budget.h"

namespace spearfish::chat {

bool IsValidUtf8(absl::string_view text);
bool IsAscii(absl::string_view text);

// The first character of non-empty valid text.
struct CodePoint {
  char32_t value;
  size_t size;  // bytes
};
CodePoint FirstCodePoint(absl::string_view text);

// Code points in valid text.
size_t NumCodePoints(absl::string_view text);

// str.isspace of one character.
bool IsPythonSpace(char32_t character);

// Without white space at the start / at the end, as lstrip() and rstrip() without arguments.
absl::string_view StripSpaceLeft(absl::string_view text);
absl::string_view StripSpaceRight(absl::string_view text);

// Without any of `characters` at the start / at the end, as lstrip(characters).
absl::string_view StripLeft(absl::string_view text, absl::string_view characters);
absl::string_view StripRight(absl::string_view text, absl::string_view characters);

// What finding `needle` everywhere in `text` may cost: bytes of the one by bytes of the other.
absl::Status ChargeSearch(absl::string_view text, absl::string_view needle, Budget& budget);

}  // namespace spearfish::chat

#endif  // COMMON_CHAT_TEXT_H_
