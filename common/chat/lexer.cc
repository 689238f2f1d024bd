#include "common/chat/lexer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/status_macros.h"
#include "common/chat/string_literal.h"
#include "common/chat/text.h"

namespace spearfish::chat {
namespace {

// Longer ones first.
constexpr std::array<absl::string_view, 27> kOperators = {
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "*", "/", "%", "~", "[", "]",
    "(",  ")",  "{",  "}",  ">",  "<",  "=", ".", ":", "|", ",", ";", "!"};

std::string NormalizeNewlines(absl::string_view source) {
  std::string text = absl::StrReplaceAll(source, {{"\r\n", "\n"}, {"\r", "\n"}});
  if (absl::EndsWith(text, "\n")) text.pop_back();
  return text;
}

bool IsNameStart(char c) { return absl::ascii_isalpha(c) || c == '_'; }
bool IsNamePart(char c) { return absl::ascii_isalnum(c) || c == '_'; }

// One pass over one source. One thread.
class Lexer {
 public:
  explicit Lexer(absl::string_view source) : text_(NormalizeNewlines(source)) {
    for (size_t i = 0; i < text_.size(); ++i) {
      if (text_[i] == '\n') line_starts_.push_back(i + 1);
    }
  }

  absl::StatusOr<std::vector<Token>> Run() {
    while (at_ < text_.size()) {
      const size_t begin = FindBegin();
      SF_RETURN_IF_ERROR(TakeText(begin));
      if (begin == text_.size()) break;
      SF_RETURN_IF_ERROR(text_[begin + 1] == '#' ? TakeComment() : TakeTag());
    }
    Add(TokenKind::kEnd, "", text_.size());
    return std::move(tokens_);
  }

 private:
  absl::string_view Rest() const { return absl::string_view(text_).substr(at_); }

  SourcePosition PositionOf(size_t offset) const {
    const auto line = std::upper_bound(line_starts_.begin(), line_starts_.end(), offset) - 1;
    return {.line = static_cast<uint32_t>(line - line_starts_.begin() + 1),
            .column = static_cast<uint32_t>(offset - *line + 1)};
  }

  void Add(TokenKind kind, absl::string_view text, size_t offset) {
    tokens_.push_back({.kind = kind, .text = std::string(text), .at = PositionOf(offset)});
  }

  // Where the next {{, {% or {# is; the end without one.
  size_t FindBegin() const {
    for (size_t i = at_; i + 1 < text_.size(); ++i) {
      if (text_[i] != '{') continue;
      const char next = text_[i + 1];
      if (next == '{' || next == '%' || next == '#') return i;
    }
    return text_.size();
  }

  // The text up to `begin`, less what the tag there strips of it; moves to the tag.
  absl::Status TakeText(size_t begin) {
    absl::string_view text = Rest().substr(0, begin - at_);
    const size_t start = at_;
    at_ = begin;
    if (begin < text_.size()) {
      const char sign = begin + 2 < text_.size() ? text_[begin + 2] : ' ';
      if (sign == '-') {
        text = StripSpaceRight(text);
      } else if (sign != '+' && text_[begin + 1] != '{') {
        text = StripLine(text, start);
      }
    }
    if (!text.empty()) Add(TokenKind::kText, text, start);
    return absl::OkStatus();
  }

  // lstrip_blocks: without white space from the start of the line to the tag.
  absl::string_view StripLine(absl::string_view text, size_t start) const {
    const size_t newline = text.rfind('\n');
    const bool line_starts = start == 0 || text_[start - 1] == '\n';
    if (newline == absl::string_view::npos && !line_starts) return text;
    const size_t line = newline == absl::string_view::npos ? 0 : newline + 1;
    return StripSpaceRight(text.substr(line)).empty() ? text.substr(0, line) : text;
  }

  // Moves behind `end` ("%}", "#}", "}}") with the white space that it takes along. False: not
  // here.
  bool TakeEnd(absl::string_view end) {
    const absl::string_view rest = Rest();
    if (absl::StartsWith(rest, absl::StrCat("-", end))) {
      at_ = text_.size() - StripSpaceLeft(rest.substr(3)).size();
      return true;
    }
    const bool plus = end != "}}" && absl::StartsWith(rest, absl::StrCat("+", end));
    if (!plus && !absl::StartsWith(rest, end)) return false;
    at_ += plus ? 3 : 2;
    if (!plus && end != "}}" && at_ < text_.size() && text_[at_] == '\n') ++at_;
    return true;
  }

  absl::Status TakeComment() {
    const size_t begin = at_;
    const size_t end = text_.find("#}", begin + 2);
    if (end == std::string::npos) return SyntaxError(PositionOf(begin), "a comment without end");
    const char sign = text_[end - 1];
    at_ = (sign == '-' || sign == '+') && end - 1 > begin + 2 ? end - 1 : end;
    TakeEnd("#}");
    return absl::OkStatus();
  }

  absl::Status TakeTag() {
    const size_t begin = at_;
    const bool output = text_[begin + 1] == '{';
    const absl::string_view end = output ? "}}" : "%}";
    Add(output ? TokenKind::kOutputBegin : TokenKind::kTagBegin, "", begin);
    at_ += 2;
    if (absl::StartsWith(Rest(), "-") || absl::StartsWith(Rest(), "+")) ++at_;
    std::string open;  // brackets: inside them nothing ends the tag
    while (at_ < text_.size()) {
      const size_t offset = at_;
      if (open.empty() && TakeEnd(end)) {
        Add(output ? TokenKind::kOutputEnd : TokenKind::kTagEnd, "", offset);
        return absl::OkStatus();
      }
      SF_RETURN_IF_ERROR(TakeToken(open));
    }
    return SyntaxError(PositionOf(begin), absl::StrCat("a tag without ", end));
  }

  absl::Status TakeToken(std::string& open) {
    const char c = text_[at_];
    if (absl::ascii_isspace(c)) {
      ++at_;
      return absl::OkStatus();
    }
    if (IsNameStart(c)) return TakeName();
    if (absl::ascii_isdigit(c)) return TakeNumber();
    if (c == '\'' || c == '"') return TakeString(c);
    return TakeOperator(open);
  }

  absl::Status TakeName() {
    const size_t begin = at_;
    while (at_ < text_.size() && IsNamePart(text_[at_])) ++at_;
    Add(TokenKind::kName, absl::string_view(text_).substr(begin, at_ - begin), begin);
    return absl::OkStatus();
  }

  size_t SkipDigits(size_t at) const {
    while (at < text_.size() && absl::ascii_isdigit(text_[at])) ++at;
    return at;
  }

  absl::Status TakeNumber() {
    const size_t begin = at_;
    size_t end = SkipDigits(begin);
    TokenKind kind = TokenKind::kInteger;
    // After a dot a number is an item's index: x.0.1 holds no float.
    const bool index = begin > 0 && text_[begin - 1] == '.';
    if (!index && end + 1 < text_.size() && text_[end] == '.' &&
        absl::ascii_isdigit(text_[end + 1])) {
      kind = TokenKind::kFloat;
      end = SkipDigits(end + 1);
    }
    if (end < text_.size() && IsNamePart(text_[end])) {
      return Refused(PositionOf(begin), "a number with letters or underscores in it");
    }
    at_ = end;
    Add(kind, absl::string_view(text_).substr(begin, end - begin), begin);
    return absl::OkStatus();
  }

  absl::Status TakeString(char quote) {
    const size_t begin = at_;
    size_t end = begin + 1;
    while (end < text_.size() && text_[end] != quote) end += text_[end] == '\\' ? 2 : 1;
    if (end >= text_.size()) return SyntaxError(PositionOf(begin), "a string without end");
    auto text = UnescapeString(absl::string_view(text_).substr(begin + 1, end - begin - 1));
    if (!text.ok()) return At(PositionOf(begin), text.status());
    at_ = end + 1;
    Add(TokenKind::kString, *text, begin);
    return absl::OkStatus();
  }

  absl::Status TakeOperator(std::string& open) {
    for (const absl::string_view op : kOperators) {
      if (!absl::StartsWith(Rest(), op)) continue;
      SF_RETURN_IF_ERROR(Balance(op[0], open));
      Add(TokenKind::kOperator, op, at_);
      at_ += op.size();
      return absl::OkStatus();
    }
    return SyntaxError(PositionOf(at_), "a character that no expression has");
  }

  absl::Status Balance(char c, std::string& open) const {
    if (c == '(') open.push_back(')');
    if (c == '[') open.push_back(']');
    if (c == '{') open.push_back('}');
    if (c != ')' && c != ']' && c != '}') return absl::OkStatus();
    if (open.empty() || open.back() != c) {
      return SyntaxError(PositionOf(at_), "a closing bracket that nothing opened");
    }
    open.pop_back();
    return absl::OkStatus();
  }

  const std::string text_;
  std::vector<size_t> line_starts_ = {0};
  size_t at_ = 0;
  std::vector<Token> tokens_;
};

}  // namespace

absl::StatusOr<std::vector<Token>> Tokenize(absl::string_view source) {
  return Lexer(source).Run();
}

}  // namespace spearfish::chat
