// A template after parsing. Immutable from then on, so any number of threads may render it.
#ifndef COMMON_CHAT_AST_H_
#define COMMON_CHAT_AST_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/chat/source_position.h"
#include "common/chat/value.h"

namespace spearfish::chat {

// Nodes above one another at most: whatever walks a tree recurses.
inline constexpr uint32_t kMaxTreeDepth = 160;

struct Filter;
struct Test;
struct Expression;
struct Statement;
using ExpressionPtr = std::unique_ptr<const Expression>;
using Block = std::vector<std::unique_ptr<const Statement>>;

enum class ExpressionKind : uint8_t {
  kLiteral,      // literal
  kName,         // text
  kList,         // operands: items
  kTuple,        // operands: items
  kDict,         // operands: key, value, key, value ...
  kAttribute,    // operands: object; text: name
  kSubscript,    // operands: object, key
  kSlice,        // operands: object, start, stop, step; null where left out
  kCall,         // operands: callee, arguments
  kFilter,       // operands: input, arguments
  kTest,         // operands: input, arguments
  kNot,          // operands: one
  kNegate,       // operands: one
  kPlus,         // operands: one
  kArithmetic,   // operands: two; text: + - * / // %
  kConcatenate,  // operands: two
  kCompare,      // operands: two; text: == != < <= > >= in, or "not in"
  kAnd,          // operands: two
  kOr,           // operands: two
  kConditional,  // operands: condition, value, else; null where left out
};

struct Expression {
  ExpressionKind kind;
  SourcePosition at;
  uint32_t depth = 1;
  std::string text;
  Value literal;
  std::vector<ExpressionPtr> operands;
  std::vector<std::string> keywords;  // of the last so many operands of a call, filter or test
  const Filter* filter = nullptr;     // kFilter
  const Test* test = nullptr;         // kTest
};

enum class StatementKind : uint8_t {
  kText,       // text
  kOutput,     // value
  kSet,        // names = value
  kSetMember,  // text . names[0] = value
  kCapture,    // names[0] = what body writes
  kIf,         // branches
  kFor,        // names over value, if condition: body, else otherwise
  kMacro,      // macro
  kBreak,
  kContinue,
};

struct Branch {
  ExpressionPtr condition;  // null: else
  Block body;
};

struct Macro {
  std::string name;
  std::vector<std::string> parameters;
  std::vector<ExpressionPtr> defaults;  // of the last so many parameters
  Block body;
};

struct Statement {
  StatementKind kind;
  SourcePosition at;
  std::string text;
  ExpressionPtr value;
  std::vector<std::string> names;
  std::vector<Branch> branches;
  ExpressionPtr condition;
  Block body;
  Block otherwise;
  Macro macro;
};

}  // namespace spearfish::chat

#endif  // COMMON_CHAT_AST_H_
