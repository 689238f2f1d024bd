// Expressions: what a template computes.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/chat/access.h"
#include "common/chat/filters.h"
#include "common/chat/interpreter.h"
#include "common/chat/methods.h"
#include "common/chat/operators.h"
#include "common/chat/restored.h"
#include "common/chat/tests.h"

namespace spearfish::chat {
namespace {

// The same, with the place in front of an error's message.
template <typename T>
absl::StatusOr<Value> Placed(SourcePosition at, absl::StatusOr<T> result) {
  if (!result.ok()) return At(at, result.status());
  if constexpr (std::is_same_v<T, bool>) {
    return Value::Bool(*result);
  } else {
    return *std::move(result);
  }
}

}  // namespace

absl::StatusOr<Value> Interpreter::Evaluate(const Expression& expression) {
  const Restored<uint32_t> level(depth_, depth_ + 1);
  if (depth_ > kMaxEvaluationDepth) {
    return At(expression.at, absl::InvalidArgumentError("the template nests too deeply"));
  }
  SF_RETURN_IF_ERROR(At(expression.at, budget_.Charge(1)));
  return EvaluateNode(expression);
}

absl::StatusOr<Value> Interpreter::EvaluateNode(const Expression& expression) {
  switch (expression.kind) {
    case ExpressionKind::kLiteral:
      return expression.literal;
    case ExpressionKind::kName:
      return Lookup(expression.text);
    case ExpressionKind::kList:
      return EvaluateList(expression, Value::Shape::kList);
    case ExpressionKind::kTuple:
      return EvaluateList(expression, Value::Shape::kTuple);
    case ExpressionKind::kDict:
      return EvaluateDict(expression);
    case ExpressionKind::kSlice:
      return EvaluateSlice(expression);
    case ExpressionKind::kCall:
      return EvaluateCall(expression);
    case ExpressionKind::kFilter:
      return EvaluateFilter(expression);
    case ExpressionKind::kTest:
      return EvaluateTest(expression);
    case ExpressionKind::kConditional:
      return EvaluateConditional(expression);
    default:
      break;
  }
  SF_ASSIGN_OR_RETURN(Value first, Evaluate(*expression.operands[0]));
  switch (expression.kind) {
    case ExpressionKind::kAttribute:
      return Placed(expression.at, Attribute(first, expression.text));
    case ExpressionKind::kNot:
      return Value::Bool(!first.IsTrue());
    case ExpressionKind::kNegate:
      return Placed(expression.at, Negate(first));
    case ExpressionKind::kPlus:
      if (first.is(Value::Kind::kInt) || first.is(Value::Kind::kFloat)) return first;
      return Refused(expression.at, absl::StrCat("a plus before ", first.TypeName()));
    case ExpressionKind::kAnd:
      return first.IsTrue() ? Evaluate(*expression.operands[1]) : first;
    case ExpressionKind::kOr:
      return first.IsTrue() ? first : Evaluate(*expression.operands[1]);
    default:
      break;
  }
  SF_ASSIGN_OR_RETURN(const Value second, Evaluate(*expression.operands[1]));
  switch (expression.kind) {
    case ExpressionKind::kSubscript:
      return Placed(expression.at, Item(first, second, budget_));
    case ExpressionKind::kArithmetic:
      return Placed(expression.at, Arithmetic(expression.text, first, second, budget_));
    case ExpressionKind::kConcatenate:
      return Placed(expression.at, Concatenate(first, second, budget_));
    default:
      return Placed(expression.at, Compare(expression.text, first, second, budget_));
  }
}

Value Interpreter::Lookup(const std::string& name) const {
  for (const Scope* scope = scope_; scope != nullptr; scope = scope->outer) {
    const auto found = scope->variables.find(name);
    if (found != scope->variables.end()) return found->second;
  }
  return IsFunction(name) ? Value::Callable() : Value();
}

absl::StatusOr<Value> Interpreter::EvaluateList(const Expression& expression, Value::Shape shape) {
  std::vector<Value> items;
  items.reserve(expression.operands.size());
  for (const ExpressionPtr& operand : expression.operands) {
    SF_ASSIGN_OR_RETURN(Value item, Evaluate(*operand));
    if (!item.is_data()) return Refused(operand->at, absl::StrCat("keeping ", item.TypeName()));
    items.push_back(std::move(item));
  }
  return Placed(expression.at, Value::OfList(std::move(items), shape));
}

absl::StatusOr<Value> Interpreter::EvaluateDict(const Expression& expression) {
  Map map;
  for (size_t i = 0; i < expression.operands.size(); i += 2) {
    SF_ASSIGN_OR_RETURN(const Value key, Evaluate(*expression.operands[i]));
    SF_ASSIGN_OR_RETURN(Value value, Evaluate(*expression.operands[i + 1]));
    if (!key.is(Value::Kind::kString)) return Refused(expression.at, "a key that is no string");
    if (!value.is_data()) {
      return Refused(expression.at, absl::StrCat("keeping ", value.TypeName()));
    }
    map.Insert(std::string(key.as_string()), std::move(value));
  }
  return Placed(expression.at, Value::OfMap(std::move(map)));
}

absl::StatusOr<Value> Interpreter::EvaluateSlice(const Expression& expression) {
  SF_ASSIGN_OR_RETURN(const Value object, Evaluate(*expression.operands[0]));
  SliceBounds bounds;
  Value* const parts[] = {&bounds.start, &bounds.stop, &bounds.step};
  for (size_t i = 0; i < 3; ++i) {
    const ExpressionPtr& operand = expression.operands[i + 1];
    if (operand == nullptr) continue;
    SF_ASSIGN_OR_RETURN(*parts[i], Evaluate(*operand));
    if (parts[i]->is(Value::Kind::kUndefined)) {
      return At(operand->at, absl::InvalidArgumentError("a slice bound that is undefined"));
    }
  }
  return Placed(expression.at, Slice(object, bounds, budget_));
}

absl::StatusOr<Value> Interpreter::EvaluateConditional(const Expression& expression) {
  SF_ASSIGN_OR_RETURN(const Value condition, Evaluate(*expression.operands[0]));
  if (condition.IsTrue()) return Evaluate(*expression.operands[1]);
  return expression.operands[2] == nullptr ? Value() : Evaluate(*expression.operands[2]);
}

absl::StatusOr<Arguments> Interpreter::EvaluateArguments(const Expression& call) {
  Arguments arguments;
  const size_t num_positional = call.operands.size() - 1 - call.keywords.size();
  for (size_t i = 0; i + 1 < call.operands.size(); ++i) {
    SF_ASSIGN_OR_RETURN(Value value, Evaluate(*call.operands[i + 1]));
    if (i < num_positional) {
      arguments.positional.push_back(std::move(value));
    } else {
      arguments.keyword.emplace_back(call.keywords[i - num_positional], std::move(value));
    }
  }
  return arguments;
}

absl::StatusOr<Value> Interpreter::EvaluateFilter(const Expression& expression) {
  SF_ASSIGN_OR_RETURN(const Value input, Evaluate(*expression.operands[0]));
  SF_ASSIGN_OR_RETURN(const Arguments arguments, EvaluateArguments(expression));
  const absl::StatusOr<BoundArguments> bound = Bind(expression.filter->signature, arguments);
  if (!bound.ok()) return At(expression.at, bound.status());
  return Placed(expression.at, expression.filter->run(input, *bound, budget_));
}

absl::StatusOr<Value> Interpreter::EvaluateTest(const Expression& expression) {
  SF_ASSIGN_OR_RETURN(const Value input, Evaluate(*expression.operands[0]));
  SF_ASSIGN_OR_RETURN(const Arguments arguments, EvaluateArguments(expression));
  const absl::StatusOr<BoundArguments> bound = Bind(expression.test->signature, arguments);
  if (!bound.ok()) return At(expression.at, bound.status());
  return Placed(expression.at, expression.test->run(input, *bound, budget_));
}

absl::StatusOr<Value> Interpreter::EvaluateCall(const Expression& expression) {
  const Expression& callee = *expression.operands[0];
  if (callee.kind == ExpressionKind::kAttribute) {
    SF_ASSIGN_OR_RETURN(const Value object, Evaluate(*callee.operands[0]));
    SF_ASSIGN_OR_RETURN(const Arguments arguments, EvaluateArguments(expression));
    return Placed(callee.at, CallMethod(object, callee.text, arguments, budget_));
  }
  const Value function = Lookup(callee.text);
  SF_ASSIGN_OR_RETURN(Arguments arguments, EvaluateArguments(expression));
  if (!function.is(Value::Kind::kCallable)) {
    return At(callee.at, absl::InvalidArgumentError(absl::StrCat(
                             "a call of ", callee.text, ", which is ", function.TypeName())));
  }
  if (function.as_macro() != nullptr) {
    return Placed(callee.at, CallMacro(*function.as_macro(), std::move(arguments)));
  }
  return Placed(callee.at, CallFunction(callee.text, arguments, functions_));
}

absl::Status Interpreter::BindMacro(const Macro& macro, Arguments arguments) {
  SF_RETURN_IF_ERROR(budget_.Charge(macro.parameters.size()));
  const size_t num_required = macro.parameters.size() - macro.defaults.size();
  if (arguments.positional.size() > macro.parameters.size()) {
    return absl::InvalidArgumentError(absl::StrCat("too many arguments of ", macro.name));
  }
  for (auto& [name, value] : arguments.keyword) {
    const auto& parameters = macro.parameters;
    const auto found = std::find(parameters.begin(), parameters.end(), name);
    const bool taken =
        found - parameters.begin() < static_cast<std::ptrdiff_t>(arguments.positional.size());
    if (found == parameters.end() || taken || !scope_->variables.try_emplace(name, value).second) {
      return absl::InvalidArgumentError(absl::StrCat("the argument ", name, " of ", macro.name));
    }
  }
  for (size_t i = 0; i < macro.parameters.size(); ++i) {
    const std::string& name = macro.parameters[i];
    if (i < arguments.positional.size()) {
      scope_->variables[name] = arguments.positional[i];
    } else if (!scope_->variables.contains(name)) {
      Value value;
      if (i >= num_required) {
        SF_ASSIGN_OR_RETURN(value, Evaluate(*macro.defaults[i - num_required]));
      }
      scope_->variables[name] = std::move(value);
    }
  }
  return absl::OkStatus();
}

// Its text. A macro sees the template's own variables, not its caller's.
absl::StatusOr<Value> Interpreter::CallMacro(const Macro& macro, Arguments arguments) {
  std::string text;
  Scope scope{.outer = &root_};
  const Restored<Scope*> inner(scope_, &scope);
  const Restored<std::string*> captured(out_, &text);
  SF_RETURN_IF_ERROR(BindMacro(macro, std::move(arguments)));
  SF_RETURN_IF_ERROR(RunBlock(macro.body).status());
  return Value::String(std::move(text));
}

}  // namespace spearfish::chat
