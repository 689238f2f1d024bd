// One rendering of one template.
#ifndef COMMON_CHAT_INTERPRETER_H_
#define COMMON_CHAT_INTERPRETER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/chat/ast.h"
#include "common/chat/budget.h"
#include "common/chat/functions.h"
#include "common/chat/signature.h"
#include "common/chat/value.h"

namespace spearfish::chat {

// Trees on top of one another (macros in macros) at most: evaluation recurses.
inline constexpr uint32_t kMaxEvaluationDepth = 250;
// Of the text that comes out, and of every macro's.
inline constexpr size_t kMaxOutputBytes = size_t{32} << 20;

using Variables = absl::flat_hash_map<std::string, Value>;

// Walks the tree; owns variables and namespaces until it goes. The tree must outlive it. One
// thread; used once.
class Interpreter {
 public:
  struct Options {
    const std::function<absl::Time()>& clock;
    absl::TimeZone zone;
  };
  Interpreter(const Options& options, Budget& budget)
      : budget_(budget),
        functions_{.budget = budget,
                   .namespaces = namespaces_,
                   .clock = options.clock,
                   .zone = options.zone} {}

  // What the template writes with these variables.
  absl::StatusOr<std::string> Run(const Block& block, Variables variables);

 private:
  // The template, a macro's call or one turn of a for; sees those around it.
  struct Scope {
    Scope* outer = nullptr;
    Variables variables = {};
  };
  // How a block was left.
  enum class Flow : uint8_t { kNext, kBreak, kContinue };

  // Statements.
  absl::StatusOr<Flow> RunBlock(const Block& block);
  absl::StatusOr<Flow> RunStatement(const Statement& statement);
  absl::Status Write(absl::string_view text);
  absl::Status RunOutput(const Statement& statement);
  absl::Status RunSet(const Statement& statement);
  absl::Status RunSetMember(const Statement& statement);
  absl::Status RunCapture(const Statement& statement);
  absl::StatusOr<Flow> RunIf(const Statement& statement);
  absl::StatusOr<Flow> RunFor(const Statement& statement);
  absl::StatusOr<std::vector<Value>> LoopItems(const Statement& statement);
  // Gives the item, or its parts where there are several names, to the innermost scope.
  absl::Status Assign(const std::vector<std::string>& names, const Value& value);

  // Expressions.
  absl::StatusOr<Value> Evaluate(const Expression& expression);
  absl::StatusOr<Value> EvaluateNode(const Expression& expression);
  Value Lookup(const std::string& name) const;
  absl::StatusOr<Value> EvaluateList(const Expression& expression, Value::Shape shape);
  absl::StatusOr<Value> EvaluateDict(const Expression& expression);
  absl::StatusOr<Value> EvaluateSlice(const Expression& expression);
  absl::StatusOr<Value> EvaluateConditional(const Expression& expression);
  absl::StatusOr<Value> EvaluateFilter(const Expression& expression);
  absl::StatusOr<Value> EvaluateTest(const Expression& expression);
  absl::StatusOr<Value> EvaluateCall(const Expression& expression);
  absl::StatusOr<Arguments> EvaluateArguments(const Expression& call);
  absl::StatusOr<Value> CallMacro(const Macro& macro, Arguments arguments);
  absl::Status BindMacro(const Macro& macro, Arguments arguments);

  Budget& budget_;
  std::deque<Namespace> namespaces_;  // values point into it
  const FunctionContext functions_;
  Scope root_;
  Scope* scope_ = &root_;
  std::string* out_ = nullptr;  // of the template or of the macro that runs
  uint32_t depth_ = 0;
};

}  // namespace spearfish::chat

#endif  // COMMON_CHAT_INTERPRETER_H_
