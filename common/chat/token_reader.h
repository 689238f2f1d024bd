// A position in a template's tokens.
#ifndef COMMON_CHAT_TOKEN_READER_H_
#define COMMON_CHAT_TOKEN_READER_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/chat/lexer.h"

namespace spearfish::chat {

// Never moves past the kEnd that comes last. One thread.
class TokenReader {
 public:
  explicit TokenReader(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& Peek(size_t ahead = 0) const {
    return tokens_[at_ + ahead < tokens_.size() ? at_ + ahead : tokens_.size() - 1];
  }
  SourcePosition position() const { return Peek().at; }

  Token Take() {
    Token token = Peek();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }

  bool Is(TokenKind kind, absl::string_view text, size_t ahead = 0) const {
    return Peek(ahead).kind == kind && Peek(ahead).text == text;
  }
  bool IsOperator(absl::string_view text, size_t ahead = 0) const {
    return Is(TokenKind::kOperator, text, ahead);
  }
  bool IsName(absl::string_view text, size_t ahead = 0) const {
    return Is(TokenKind::kName, text, ahead);
  }

  // Moves on if it is there.
  bool Skip(TokenKind kind, absl::string_view text) {
    if (!Is(kind, text)) return false;
    Take();
    return true;
  }
  bool SkipOperator(absl::string_view text) { return Skip(TokenKind::kOperator, text); }
  bool SkipName(absl::string_view text) { return Skip(TokenKind::kName, text); }

  absl::Status ExpectOperator(absl::string_view text) {
    if (SkipOperator(text)) return absl::OkStatus();
    return SyntaxError(position(), absl::StrCat("expected ", text));
  }
  absl::Status ExpectTagEnd() {
    if (Skip(TokenKind::kTagEnd, "")) return absl::OkStatus();
    return SyntaxError(position(), "expected %}");
  }
  absl::StatusOr<std::string> ExpectName() {
    if (Peek().kind != TokenKind::kName) return SyntaxError(position(), "expected a name");
    return Take().text;
  }

 private:
  const std::vector<Token> tokens_;
  size_t at_ = 0;
};

}  // namespace spearfish::chat

#endif  // COMMON_CHAT_TOKEN_READER_H_
