#include "common/chat/expression_parser.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/chat/filters.h"
#include "common/chat/methods.h"
#include "common/chat/tests.h"

namespace spearfish::chat {
namespace {

// Recursion while parsing: a bracket is about ten calls deep.
constexpr uint32_t kMaxOpen = 60;

// Counts one level of recursion while it lives.
class Level {
 public:
  explicit Level(uint32_t& count) : count_(count) { ++count_; }
  ~Level() { --count_; }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;

 private:
  uint32_t& count_;
};

bool IsComparison(const Token& token) {
  if (token.kind == TokenKind::kName) return token.text == "in";
  constexpr absl::string_view kComparisons[] = {"==", "!=", "<", "<=", ">", ">="};
  return token.kind == TokenKind::kOperator &&
         std::find(std::begin(kComparisons), std::end(kComparisons), token.text) !=
             std::end(kComparisons);
}

}  // namespace

ExpressionParser::Node ExpressionParser::NewNode(ExpressionKind kind, SourcePosition at) {
  auto node = std::make_unique<Expression>();
  node->kind = kind;
  node->at = at;
  return node;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::Finish(Node node) const {
  for (const ExpressionPtr& operand : node->operands) {
    if (operand != nullptr) node->depth = std::max(node->depth, operand->depth + 1);
  }
  if (node->depth > kMaxTreeDepth) {
    return SyntaxError(node->at, absl::StrCat("an expression deeper than ", kMaxTreeDepth));
  }
  return ExpressionPtr(std::move(node));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::FinishBinary(ExpressionKind kind, const Token& op,
                                                             ExpressionPtr left,
                                                             ExpressionPtr right) const {
  Node node = NewNode(kind, op.at);
  node->text = op.text;
  node->operands.push_back(std::move(left));
  node->operands.push_back(std::move(right));
  return Finish(std::move(node));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::Parse() {
  const Level level(open_);
  if (open_ > kMaxOpen) {
    return SyntaxError(reader_.position(), absl::StrCat("brackets deeper than ", kMaxOpen));
  }
  SF_ASSIGN_OR_RETURN(ExpressionPtr value, ParseOr());
  while (reader_.IsName("if")) {
    Node node = NewNode(ExpressionKind::kConditional, reader_.Take().at);
    SF_ASSIGN_OR_RETURN(ExpressionPtr condition, ParseOr());
    ExpressionPtr otherwise;
    if (reader_.SkipName("else")) {
      SF_ASSIGN_OR_RETURN(otherwise, Parse());
    }
    node->operands.push_back(std::move(condition));
    node->operands.push_back(std::move(value));
    node->operands.push_back(std::move(otherwise));
    SF_ASSIGN_OR_RETURN(value, Finish(std::move(node)));
  }
  return value;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseTuple() {
  SF_ASSIGN_OR_RETURN(ExpressionPtr first, Parse());
  if (!reader_.IsOperator(",")) return first;
  Node node = NewNode(ExpressionKind::kTuple, first->at);
  node->operands.push_back(std::move(first));
  while (reader_.SkipOperator(",")) {
    if (reader_.IsOperator(")") || reader_.Peek().kind == TokenKind::kTagEnd) break;
    SF_ASSIGN_OR_RETURN(ExpressionPtr item, Parse());
    node->operands.push_back(std::move(item));
  }
  return Finish(std::move(node));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseOr() {
  SF_ASSIGN_OR_RETURN(ExpressionPtr left, ParseAnd());
  while (reader_.IsName("or")) {
    const Token op = reader_.Take();
    SF_ASSIGN_OR_RETURN(ExpressionPtr right, ParseAnd());
    SF_ASSIGN_OR_RETURN(left,
                        FinishBinary(ExpressionKind::kOr, op, std::move(left), std::move(right)));
  }
  return left;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseAnd() {
  SF_ASSIGN_OR_RETURN(ExpressionPtr left, ParseNot());
  while (reader_.IsName("and")) {
    const Token op = reader_.Take();
    SF_ASSIGN_OR_RETURN(ExpressionPtr right, ParseNot());
    SF_ASSIGN_OR_RETURN(left,
                        FinishBinary(ExpressionKind::kAnd, op, std::move(left), std::move(right)));
  }
  return left;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseNot() {
  if (!reader_.IsName("not")) return ParseCompare();
  const Level level(open_);
  Node node = NewNode(ExpressionKind::kNot, reader_.Take().at);
  if (open_ > kMaxOpen) return SyntaxError(node->at, absl::StrCat("more than ", kMaxOpen, " nots"));
  SF_ASSIGN_OR_RETURN(ExpressionPtr operand, ParseNot());
  node->operands.push_back(std::move(operand));
  return Finish(std::move(node));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseCompare() {
  SF_ASSIGN_OR_RETURN(ExpressionPtr left, ParseSum());
  const bool not_in = reader_.IsName("not") && reader_.IsName("in", 1);
  if (!not_in && !IsComparison(reader_.Peek())) return left;
  Token op = reader_.Take();
  if (not_in) op.text = absl::StrCat("not ", reader_.Take().text);
  SF_ASSIGN_OR_RETURN(ExpressionPtr right, ParseSum());
  if (IsComparison(reader_.Peek())) return Refused(reader_.position(), "a chain of comparisons");
  return FinishBinary(ExpressionKind::kCompare, op, std::move(left), std::move(right));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseSum() {
  SF_ASSIGN_OR_RETURN(ExpressionPtr left, ParseConcatenation());
  while (reader_.IsOperator("+") || reader_.IsOperator("-")) {
    const Token op = reader_.Take();
    SF_ASSIGN_OR_RETURN(ExpressionPtr right, ParseConcatenation());
    SF_ASSIGN_OR_RETURN(
        left, FinishBinary(ExpressionKind::kArithmetic, op, std::move(left), std::move(right)));
  }
  return left;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseConcatenation() {
  SF_ASSIGN_OR_RETURN(ExpressionPtr left, ParseProduct());
  while (reader_.IsOperator("~")) {
    const Token op = reader_.Take();
    SF_ASSIGN_OR_RETURN(ExpressionPtr right, ParseProduct());
    SF_ASSIGN_OR_RETURN(
        left, FinishBinary(ExpressionKind::kConcatenate, op, std::move(left), std::move(right)));
  }
  return left;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseProduct() {
  SF_ASSIGN_OR_RETURN(ExpressionPtr left, ParseUnary(Filters::kTake));
  while (reader_.IsOperator("*") || reader_.IsOperator("/") || reader_.IsOperator("//") ||
         reader_.IsOperator("%")) {
    const Token op = reader_.Take();
    SF_ASSIGN_OR_RETURN(ExpressionPtr right, ParseUnary(Filters::kTake));
    SF_ASSIGN_OR_RETURN(
        left, FinishBinary(ExpressionKind::kArithmetic, op, std::move(left), std::move(right)));
  }
  if (reader_.IsOperator("**")) return Refused(reader_.position(), "the operator **");
  return left;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseUnary(Filters filters) {
  const Level level(open_);
  if (open_ > kMaxOpen) {
    return SyntaxError(reader_.position(), absl::StrCat("more than ", kMaxOpen, " prefixes"));
  }
  ExpressionPtr value;
  if (reader_.IsOperator("-") || reader_.IsOperator("+")) {
    const Token op = reader_.Take();
    Node node = NewNode(op.text == "-" ? ExpressionKind::kNegate : ExpressionKind::kPlus, op.at);
    SF_ASSIGN_OR_RETURN(ExpressionPtr operand, ParseUnary(Filters::kLeave));
    node->operands.push_back(std::move(operand));
    SF_ASSIGN_OR_RETURN(value, Finish(std::move(node)));
  } else {
    SF_ASSIGN_OR_RETURN(value, ParsePrimary());
  }
  SF_ASSIGN_OR_RETURN(value, ParsePostfix(std::move(value)));
  if (filters == Filters::kLeave) return value;
  return ParseFiltersAndTests(std::move(value));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParsePrimary() {
  const Token& token = reader_.Peek();
  switch (token.kind) {
    case TokenKind::kName:
      return ParseName();
    case TokenKind::kString:
    case TokenKind::kInteger:
    case TokenKind::kFloat:
      return ParseLiteral();
    default:
      break;
  }
  if (reader_.IsOperator("(")) return ParseParentheses();
  if (reader_.IsOperator("[")) return ParseListDisplay();
  if (reader_.IsOperator("{")) return ParseDictDisplay();
  return SyntaxError(token.at, "expected an expression");
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseName() {
  const Token token = reader_.Take();
  Node node = NewNode(ExpressionKind::kLiteral, token.at);
  if (token.text == "true" || token.text == "True") {
    node->literal = Value::Bool(true);
  } else if (token.text == "false" || token.text == "False") {
    node->literal = Value::Bool(false);
  } else if (token.text == "none" || token.text == "None") {
    node->literal = Value::None();
  } else if (token.text == "caller" || token.text == "varargs" || token.text == "kwargs" ||
             token.text == "self") {
    return Refused(token.at, absl::StrCat("the name ", token.text));
  } else if (token.text == "if" || token.text == "else" || token.text == "in" ||
             token.text == "is" || token.text == "and" || token.text == "or") {
    return SyntaxError(token.at, absl::StrCat("expected an expression, not ", token.text));
  } else {
    node->kind = ExpressionKind::kName;
    node->text = token.text;
  }
  return Finish(std::move(node));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseLiteral() {
  Token token = reader_.Take();
  Node node = NewNode(ExpressionKind::kLiteral, token.at);
  if (token.kind == TokenKind::kString) {  // 'a' 'b' is one string
    while (reader_.Peek().kind == TokenKind::kString) token.text += reader_.Take().text;
    node->literal = Value::String(std::move(token.text));
  } else if (token.kind == TokenKind::kInteger) {
    int64_t value = 0;
    if (!absl::SimpleAtoi(token.text, &value)) return Refused(token.at, "so large a number");
    node->literal = Value::Int(value);
  } else {
    double value = 0;
    if (!absl::SimpleAtod(token.text, &value)) return SyntaxError(token.at, "not a number");
    node->literal = Value::Float(value);
  }
  return Finish(std::move(node));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseParentheses() {
  const SourcePosition at = reader_.Take().at;
  if (reader_.SkipOperator(")")) return Finish(NewNode(ExpressionKind::kTuple, at));
  SF_ASSIGN_OR_RETURN(ExpressionPtr value, ParseTuple());
  SF_RETURN_IF_ERROR(reader_.ExpectOperator(")"));
  return value;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseListDisplay() {
  Node node = NewNode(ExpressionKind::kList, reader_.Take().at);
  while (!reader_.SkipOperator("]")) {
    if (!node->operands.empty()) {
      SF_RETURN_IF_ERROR(reader_.ExpectOperator(","));
      if (reader_.SkipOperator("]")) break;
    }
    SF_ASSIGN_OR_RETURN(ExpressionPtr item, Parse());
    node->operands.push_back(std::move(item));
  }
  return Finish(std::move(node));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseDictDisplay() {
  Node node = NewNode(ExpressionKind::kDict, reader_.Take().at);
  while (!reader_.SkipOperator("}")) {
    if (!node->operands.empty()) {
      SF_RETURN_IF_ERROR(reader_.ExpectOperator(","));
      if (reader_.SkipOperator("}")) break;
    }
    SF_ASSIGN_OR_RETURN(ExpressionPtr key, Parse());
    SF_RETURN_IF_ERROR(reader_.ExpectOperator(":"));
    SF_ASSIGN_OR_RETURN(ExpressionPtr value, Parse());
    node->operands.push_back(std::move(key));
    node->operands.push_back(std::move(value));
  }
  return Finish(std::move(node));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParsePostfix(ExpressionPtr expression) {
  while (true) {
    if (reader_.IsOperator(".")) {
      SF_ASSIGN_OR_RETURN(expression, ParseAttribute(std::move(expression)));
    } else if (reader_.IsOperator("[")) {
      SF_ASSIGN_OR_RETURN(expression, ParseSubscript(std::move(expression)));
    } else if (reader_.IsOperator("(")) {
      SF_ASSIGN_OR_RETURN(expression, ParseCall(std::move(expression)));
    } else {
      return expression;
    }
  }
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseAttribute(ExpressionPtr object) {
  Node node = NewNode(ExpressionKind::kAttribute, reader_.Take().at);
  node->operands.push_back(std::move(object));
  if (reader_.Peek().kind == TokenKind::kInteger) {  // x.0 is x[0]
    node->kind = ExpressionKind::kSubscript;
    SF_ASSIGN_OR_RETURN(ExpressionPtr index, ParseLiteral());
    node->operands.push_back(std::move(index));
  } else {
    SF_ASSIGN_OR_RETURN(node->text, reader_.ExpectName());
  }
  return Finish(std::move(node));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseSubscript(ExpressionPtr object) {
  Node node = NewNode(ExpressionKind::kSubscript, reader_.Take().at);
  node->operands.push_back(std::move(object));
  ExpressionPtr part;
  if (!reader_.IsOperator(":")) {
    SF_ASSIGN_OR_RETURN(part, Parse());
  }
  node->operands.push_back(std::move(part));
  while (reader_.IsOperator(":") && node->operands.size() < 4) {
    node->kind = ExpressionKind::kSlice;
    reader_.Take();
    part = nullptr;
    if (!reader_.IsOperator(":") && !reader_.IsOperator("]")) {
      SF_ASSIGN_OR_RETURN(part, Parse());
    }
    node->operands.push_back(std::move(part));
  }
  if (reader_.IsOperator(",")) return Refused(reader_.position(), "a subscript of several");
  SF_RETURN_IF_ERROR(reader_.ExpectOperator("]"));
  if (node->kind == ExpressionKind::kSlice) node->operands.resize(4);
  return Finish(std::move(node));
}

absl::Status ExpressionParser::ParseArguments(Expression& call) {
  SF_RETURN_IF_ERROR(reader_.ExpectOperator("("));
  const size_t before = call.operands.size();
  while (!reader_.SkipOperator(")")) {
    if (call.operands.size() > before) {
      SF_RETURN_IF_ERROR(reader_.ExpectOperator(","));
      if (reader_.SkipOperator(")")) break;
    }
    if (reader_.IsOperator("*") || reader_.IsOperator("**")) {
      return Refused(reader_.position(), "an argument with * or **");
    }
    if (reader_.Peek().kind == TokenKind::kName && reader_.IsOperator("=", 1)) {
      call.keywords.push_back(reader_.Take().text);
      reader_.Take();
    } else if (!call.keywords.empty()) {
      return SyntaxError(reader_.position(), "an argument by position after one by name");
    }
    SF_ASSIGN_OR_RETURN(ExpressionPtr argument, Parse());
    call.operands.push_back(std::move(argument));
  }
  return absl::OkStatus();
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseCall(ExpressionPtr callee) {
  Node node = NewNode(ExpressionKind::kCall, callee->at);
  if (callee->kind == ExpressionKind::kName) {
    called_names_.push_back({.name = callee->text, .at = callee->at});
  } else if (callee->kind != ExpressionKind::kAttribute) {
    return Refused(callee->at, "a call of anything but a name or a method");
  } else if (!IsSupportedMethod(callee->text)) {
    return Refused(callee->at, absl::StrCat("the method ", callee->text));
  }
  node->operands.push_back(std::move(callee));
  SF_RETURN_IF_ERROR(ParseArguments(*node));
  return Finish(std::move(node));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseFiltersAndTests(ExpressionPtr expression) {
  while (true) {
    if (reader_.IsOperator("|")) {
      SF_ASSIGN_OR_RETURN(expression, ParseFilter(std::move(expression)));
    } else if (reader_.IsName("is")) {
      SF_ASSIGN_OR_RETURN(expression, ParseTest(std::move(expression)));
    } else if (reader_.IsOperator("(")) {
      return Refused(reader_.position(), "a call of what a filter or test gives");
    } else {
      return expression;
    }
  }
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseFilter(ExpressionPtr input) {
  Node node = NewNode(ExpressionKind::kFilter, reader_.Take().at);
  SF_ASSIGN_OR_RETURN(node->text, reader_.ExpectName());
  node->filter = FindFilter(node->text);
  if (node->filter == nullptr) return Refused(node->at, absl::StrCat("the filter ", node->text));
  node->operands.push_back(std::move(input));
  if (reader_.IsOperator("(")) SF_RETURN_IF_ERROR(ParseArguments(*node));
  const size_t num_positional = node->operands.size() - 1 - node->keywords.size();
  SF_RETURN_IF_ERROR(
      At(node->at, CheckCall(node->filter->signature, num_positional, node->keywords)));
  return Finish(std::move(node));
}

bool ExpressionParser::AtBareArgument() const {
  const Token& token = reader_.Peek();
  switch (token.kind) {
    case TokenKind::kString:
    case TokenKind::kInteger:
    case TokenKind::kFloat:
      return true;
    case TokenKind::kName:
      return token.text != "else" && token.text != "or" && token.text != "and" &&
             token.text != "is" && token.text != "if" && token.text != "in" && token.text != "not";
    case TokenKind::kOperator:
      return token.text == "[" || token.text == "{";
    default:
      return false;
  }
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseTest(ExpressionPtr input) {
  Node node = NewNode(ExpressionKind::kTest, reader_.Take().at);
  const SourcePosition at = node->at;
  const bool negated = reader_.SkipName("not");
  SF_ASSIGN_OR_RETURN(node->text, reader_.ExpectName());
  node->test = FindTest(node->text);
  if (node->test == nullptr) return Refused(node->at, absl::StrCat("the test ", node->text));
  node->operands.push_back(std::move(input));
  if (reader_.IsOperator("(")) {
    SF_RETURN_IF_ERROR(ParseArguments(*node));
  } else if (AtBareArgument()) {
    SF_ASSIGN_OR_RETURN(ExpressionPtr argument, ParsePrimary());
    SF_ASSIGN_OR_RETURN(argument, ParsePostfix(std::move(argument)));
    node->operands.push_back(std::move(argument));
  }
  const size_t num_positional = node->operands.size() - 1 - node->keywords.size();
  SF_RETURN_IF_ERROR(
      At(node->at, CheckCall(node->test->signature, num_positional, node->keywords)));
  SF_ASSIGN_OR_RETURN(ExpressionPtr test, Finish(std::move(node)));
  if (!negated) return test;
  Node negation = NewNode(ExpressionKind::kNot, at);
  negation->operands.push_back(std::move(test));
  return Finish(std::move(negation));
}

}  // namespace spearfish::chat
