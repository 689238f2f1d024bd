// Expressions in Jinja's grammar and order of precedence.
#ifndef COMMON_CHAT_EXPRESSION_PARSER_H_
#define COMMON_CHAT_EXPRESSION_PARSER_H_

#include <initializer_list>
#include <memory>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "common/chat/ast.h"
#include "common/chat/token_reader.h"

namespace spearfish::chat {

// Recursive descent, one function a level of precedence, loosest first. Reads from a reader that it
// shares with the statements' parser. Remembers functions that are called by name, for the caller
// to check once all macros are known. One thread.
class ExpressionParser {
 public:
  explicit ExpressionParser(TokenReader& reader) : reader_(reader) {}

  // With `x if c else y`.
  absl::StatusOr<ExpressionPtr> Parse();
  // One or, with commas, a tuple: what stands after `=` in a set.
  absl::StatusOr<ExpressionPtr> ParseTuple();
  // Without a conditional: what a for iterates, so that its `if` is left alone.
  absl::StatusOr<ExpressionPtr> ParseOr();

  struct CalledName {
    std::string name;
    SourcePosition at;
  };
  const std::vector<CalledName>& called_names() const { return called_names_; }

 private:
  using Node = std::unique_ptr<Expression>;

  absl::StatusOr<ExpressionPtr> ParseAnd();
  absl::StatusOr<ExpressionPtr> ParseNot();
  absl::StatusOr<ExpressionPtr> ParseCompare();
  absl::StatusOr<ExpressionPtr> ParseSum();
  absl::StatusOr<ExpressionPtr> ParseConcatenation();
  absl::StatusOr<ExpressionPtr> ParseProduct();
  enum class Filters { kTake, kLeave };
  absl::StatusOr<ExpressionPtr> ParseUnary(Filters filters);
  absl::StatusOr<ExpressionPtr> ParsePrimary();
  absl::StatusOr<ExpressionPtr> ParseName();
  absl::StatusOr<ExpressionPtr> ParseLiteral();
  absl::StatusOr<ExpressionPtr> ParseParentheses();
  absl::StatusOr<ExpressionPtr> ParseListDisplay();
  absl::StatusOr<ExpressionPtr> ParseDictDisplay();
  absl::StatusOr<ExpressionPtr> ParsePostfix(ExpressionPtr expression);
  absl::StatusOr<ExpressionPtr> ParseAttribute(ExpressionPtr object);
  absl::StatusOr<ExpressionPtr> ParseSubscript(ExpressionPtr object);
  absl::StatusOr<ExpressionPtr> ParseCall(ExpressionPtr callee);
  absl::StatusOr<ExpressionPtr> ParseFiltersAndTests(ExpressionPtr expression);
  absl::StatusOr<ExpressionPtr> ParseFilter(ExpressionPtr input);
  absl::StatusOr<ExpressionPtr> ParseTest(ExpressionPtr input);

  absl::Status ParseArguments(Expression& call);
  // An argument of a test without parentheses: `is equalto 3`.
  bool AtBareArgument() const;

  static Node NewNode(ExpressionKind kind, SourcePosition at);
  absl::StatusOr<ExpressionPtr> Finish(Node node) const;
  absl::StatusOr<ExpressionPtr> FinishBinary(ExpressionKind kind, const Token& op,
                                             ExpressionPtr left, ExpressionPtr right) const;

  TokenReader& reader_;
  uint32_t open_ = 0;  // brackets and prefixes around the current place
  std::vector<CalledName> called_names_;
};

}  // namespace spearfish::chat

#endif  // COMMON_CHAT_EXPRESSION_PARSER_H_
