#include "common/chat/parser.h"

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/chat/expression_parser.h"
#include "common/chat/functions.h"
#include "common/chat/token_reader.h"

namespace spearfish::chat {
namespace {

// Blocks in blocks at most.
constexpr uint32_t kMaxBlocks = 40;

// Statements; expressions are left to ExpressionParser. One thread.
class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : reader_(std::move(tokens)), expressions_(reader_) {}

  absl::StatusOr<Block> Run() {
    SF_ASSIGN_OR_RETURN(Block block, ParseBlock({}));
    for (const auto& [name, at] : expressions_.called_names()) {
      if (!IsFunction(name) && !macros_.contains(name)) {
        return Refused(at, absl::StrCat("the function ", name));
      }
    }
    return block;
  }

 private:
  using Node = std::unique_ptr<Statement>;

  static Node NewNode(StatementKind kind, SourcePosition at) {
    auto node = std::make_unique<Statement>();
    node->kind = kind;
    node->at = at;
    return node;
  }

  // Up to a tag of one of these names, where it stops behind the name; up to the end without any.
  absl::StatusOr<Block> ParseBlock(std::initializer_list<absl::string_view> ends) {
    if (++blocks_ > kMaxBlocks) {
      return SyntaxError(reader_.position(), absl::StrCat("blocks deeper than ", kMaxBlocks));
    }
    Block block;
    while (true) {
      const Token token = reader_.Take();
      if (token.kind == TokenKind::kTagBegin &&
          std::find(ends.begin(), ends.end(), reader_.Peek().text) != ends.end()) {
        end_ = reader_.Take().text;
        break;
      }
      if (token.kind == TokenKind::kEnd) {
        if (ends.size() == 0) break;
        return SyntaxError(token.at, absl::StrCat("the template ends before ", *(ends.end() - 1)));
      }
      SF_ASSIGN_OR_RETURN(Node node, ParseStatement(token));
      block.push_back(std::move(node));
    }
    --blocks_;
    return block;
  }

  absl::StatusOr<Node> ParseStatement(const Token& token) {
    if (token.kind == TokenKind::kText) {
      Node node = NewNode(StatementKind::kText, token.at);
      node->text = token.text;
      return node;
    }
    if (token.kind == TokenKind::kTagBegin) return ParseTag();
    Node node = NewNode(StatementKind::kOutput, token.at);
    SF_ASSIGN_OR_RETURN(node->value, expressions_.ParseTuple());
    if (!reader_.Skip(TokenKind::kOutputEnd, "")) {
      return SyntaxError(reader_.position(), "expected }}");
    }
    return node;
  }

  absl::StatusOr<Node> ParseTag() {
    const SourcePosition at = reader_.position();
    SF_ASSIGN_OR_RETURN(const std::string name, reader_.ExpectName());
    if (name == "set") return ParseSet(at);
    if (name == "if") return ParseIf(at);
    if (name == "for") return ParseFor(at);
    if (name == "macro") return ParseMacro(at);
    if (name == "break" || name == "continue") return ParseJump(name, at);
    return Refused(at, absl::StrCat("the tag ", name));
  }

  absl::Status CheckTarget(SourcePosition at, const std::string& name) const {
    constexpr absl::string_view kReserved[] = {"true", "false", "none", "True", "False",
                                               "None", "loop",  "not",  "and",  "or",
                                               "in",   "is",    "if",   "else"};
    if (std::find(std::begin(kReserved), std::end(kReserved), name) == std::end(kReserved)) {
      return absl::OkStatus();
    }
    return SyntaxError(at, absl::StrCat("a value given to ", name));
  }

  // a / a, b / (a, b)
  absl::Status ParseTargets(std::vector<std::string>& names) {
    const bool parentheses = reader_.SkipOperator("(");
    do {
      const SourcePosition at = reader_.position();
      SF_ASSIGN_OR_RETURN(std::string name, reader_.ExpectName());
      SF_RETURN_IF_ERROR(CheckTarget(at, name));
      names.push_back(std::move(name));
    } while (reader_.SkipOperator(","));
    return parentheses ? reader_.ExpectOperator(")") : absl::OkStatus();
  }

  absl::StatusOr<Node> ParseSet(SourcePosition at) {
    Node node = NewNode(StatementKind::kSet, at);
    if (reader_.IsOperator(".", 1)) {
      node->kind = StatementKind::kSetMember;
      SF_ASSIGN_OR_RETURN(node->text, reader_.ExpectName());
      reader_.Take();
      SF_ASSIGN_OR_RETURN(std::string member, reader_.ExpectName());
      node->names.push_back(std::move(member));
    } else {
      SF_RETURN_IF_ERROR(ParseTargets(node->names));
    }
    if (reader_.SkipOperator("=")) {
      SF_ASSIGN_OR_RETURN(node->value, expressions_.ParseTuple());
      SF_RETURN_IF_ERROR(reader_.ExpectTagEnd());
      return node;
    }
    if (node->kind == StatementKind::kSetMember || node->names.size() != 1 ||
        reader_.IsOperator("|")) {
      return Refused(at, "a set with a body and more than a name");
    }
    node->kind = StatementKind::kCapture;
    SF_RETURN_IF_ERROR(reader_.ExpectTagEnd());
    SF_ASSIGN_OR_RETURN(node->body, ParseBlock({"endset"}));
    SF_RETURN_IF_ERROR(reader_.ExpectTagEnd());
    return node;
  }

  absl::StatusOr<Node> ParseIf(SourcePosition at) {
    Node node = NewNode(StatementKind::kIf, at);
    ++conditional_;
    end_ = "if";
    while (end_ != "endif") {
      Branch branch;
      const bool last = end_ == "else";
      if (!last) {
        SF_ASSIGN_OR_RETURN(branch.condition, expressions_.ParseTuple());
      }
      SF_RETURN_IF_ERROR(reader_.ExpectTagEnd());
      if (last) {
        SF_ASSIGN_OR_RETURN(branch.body, ParseBlock({"endif"}));
      } else {
        SF_ASSIGN_OR_RETURN(branch.body, ParseBlock({"elif", "else", "endif"}));
      }
      node->branches.push_back(std::move(branch));
    }
    --conditional_;
    SF_RETURN_IF_ERROR(reader_.ExpectTagEnd());
    return node;
  }

  absl::StatusOr<Node> ParseFor(SourcePosition at) {
    Node node = NewNode(StatementKind::kFor, at);
    SF_RETURN_IF_ERROR(ParseTargets(node->names));
    if (!reader_.SkipName("in")) return SyntaxError(reader_.position(), "expected in");
    SF_ASSIGN_OR_RETURN(node->value, expressions_.ParseOr());
    if (reader_.IsOperator(",")) return Refused(reader_.position(), "a for over a bare tuple");
    if (reader_.SkipName("if")) {
      SF_ASSIGN_OR_RETURN(node->condition, expressions_.Parse());
    }
    if (reader_.IsName("recursive")) return Refused(reader_.position(), "a recursive for");
    SF_RETURN_IF_ERROR(reader_.ExpectTagEnd());
    ++loops_;
    SF_ASSIGN_OR_RETURN(node->body, ParseBlock({"else", "endfor"}));
    --loops_;
    if (end_ == "else") {
      SF_RETURN_IF_ERROR(reader_.ExpectTagEnd());
      SF_ASSIGN_OR_RETURN(node->otherwise, ParseBlock({"endfor"}));
    }
    SF_RETURN_IF_ERROR(reader_.ExpectTagEnd());
    return node;
  }

  absl::StatusOr<Node> ParseMacro(SourcePosition at) {
    if (blocks_ != 1 || conditional_ != 0) return Refused(at, "a macro inside of a block");
    Node node = NewNode(StatementKind::kMacro, at);
    Macro& macro = node->macro;
    SF_ASSIGN_OR_RETURN(macro.name, reader_.ExpectName());
    SF_RETURN_IF_ERROR(CheckTarget(at, macro.name));
    SF_RETURN_IF_ERROR(reader_.ExpectOperator("("));
    while (!reader_.SkipOperator(")")) {
      if (!macro.parameters.empty()) SF_RETURN_IF_ERROR(reader_.ExpectOperator(","));
      SF_RETURN_IF_ERROR(ParseParameter(macro));
    }
    SF_RETURN_IF_ERROR(reader_.ExpectTagEnd());
    const uint32_t loops = std::exchange(loops_, 0);
    SF_ASSIGN_OR_RETURN(macro.body, ParseBlock({"endmacro"}));
    loops_ = loops;
    reader_.SkipName(macro.name);
    SF_RETURN_IF_ERROR(reader_.ExpectTagEnd());
    macros_.insert(macro.name);
    return node;
  }

  absl::Status ParseParameter(Macro& macro) {
    const SourcePosition at = reader_.position();
    SF_ASSIGN_OR_RETURN(std::string name, reader_.ExpectName());
    SF_RETURN_IF_ERROR(CheckTarget(at, name));
    if (std::find(macro.parameters.begin(), macro.parameters.end(), name) !=
        macro.parameters.end()) {
      return SyntaxError(at, absl::StrCat("a second parameter ", name));
    }
    macro.parameters.push_back(std::move(name));
    if (reader_.SkipOperator("=")) {
      SF_ASSIGN_OR_RETURN(ExpressionPtr value, expressions_.Parse());
      macro.defaults.push_back(std::move(value));
    } else if (!macro.defaults.empty()) {
      return SyntaxError(at, "a parameter without default after one that has one");
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Node> ParseJump(const std::string& name, SourcePosition at) {
    if (loops_ == 0) return SyntaxError(at, absl::StrCat(name, " outside of a for"));
    SF_RETURN_IF_ERROR(reader_.ExpectTagEnd());
    return NewNode(name == "break" ? StatementKind::kBreak : StatementKind::kContinue, at);
  }

  TokenReader reader_;
  ExpressionParser expressions_;
  std::string end_;           // the tag that ended the last block
  uint32_t blocks_ = 0;       // around the current place, with the template itself
  uint32_t conditional_ = 0;  // ifs around the current place
  uint32_t loops_ = 0;        // fors around the current place, inside the macro if it is in one
  absl::flat_hash_set<std::string> macros_;
};

}  // namespace

absl::StatusOr<Block> ParseTemplate(std::vector<Token> tokens) {
  return Parser(std::move(tokens)).Run();
}

}  // namespace spearfish::chat
