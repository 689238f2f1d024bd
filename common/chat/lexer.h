// A template's source as tokens, white space control already applied.
#ifndef COMMON_CHAT_LEXER_H_
#define COMMON_CHAT_LEXER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/chat/source_position.h"

namespace spearfish::chat {

enum class TokenKind : uint8_t {
  kText,         // outside of tags
  kOutputBegin,  // {{
  kOutputEnd,    // }}
  kTagBegin,     // {%
  kTagEnd,       // %}
  kName,
  kString,   // text: unescaped
  kInteger,  // text: decimal digits
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind;
  std::string text;
  SourcePosition at;
};

// As Jinja with trim_blocks and lstrip_blocks, which is how transformers sets it: one newline after
// a %} or #} goes, and so does white space between the start of a line and a {% or {#; `-` takes
// all white space on its side, `+` at a begin keeps it. Newlines become \n, one at the very end
// goes. The last token is kEnd. `source` must be valid UTF-8.
// InvalidArgument: what can't be a template. Unimplemented: what is beyond us.
absl::StatusOr<std::vector<Token>> Tokenize(absl::string_view source);

}  // namespace spearfish::chat

#endif  // COMMON_CHAT_LEXER_H_
