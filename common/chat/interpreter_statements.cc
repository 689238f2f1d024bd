// Statements: what a template does in which order.
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/chat/access.h"
#include "common/chat/interpreter.h"
#include "common/chat/restored.h"
#include "common/chat/value_text.h"

namespace spearfish::chat {

absl::StatusOr<std::string> Interpreter::Run(const Block& block, Variables variables) {
  std::string out;
  out_ = &out;
  root_.variables = std::move(variables);
  SF_RETURN_IF_ERROR(RunBlock(block).status());
  return out;
}

absl::StatusOr<Interpreter::Flow> Interpreter::RunBlock(const Block& block) {
  for (const auto& statement : block) {
    SF_RETURN_IF_ERROR(At(statement->at, budget_.Charge(1)));
    SF_ASSIGN_OR_RETURN(const Flow flow, RunStatement(*statement));
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

absl::StatusOr<Interpreter::Flow> Interpreter::RunStatement(const Statement& statement) {
  const Restored<uint32_t> level(depth_, depth_ + 1);
  if (depth_ > kMaxEvaluationDepth) {
    return At(statement.at, absl::InvalidArgumentError("the template nests too deeply"));
  }
  absl::Status status;
  switch (statement.kind) {
    case StatementKind::kText:
      status = At(statement.at, Write(statement.text));
      break;
    case StatementKind::kOutput:
      status = RunOutput(statement);
      break;
    case StatementKind::kSet:
      status = RunSet(statement);
      break;
    case StatementKind::kSetMember:
      status = RunSetMember(statement);
      break;
    case StatementKind::kCapture:
      status = RunCapture(statement);
      break;
    case StatementKind::kMacro:
      scope_->variables[statement.macro.name] = Value::OfMacro(&statement.macro);
      break;
    case StatementKind::kIf:
      return RunIf(statement);
    case StatementKind::kFor:
      return RunFor(statement);
    case StatementKind::kBreak:
      return Flow::kBreak;
    case StatementKind::kContinue:
      return Flow::kContinue;
  }
  SF_RETURN_IF_ERROR(status);
  return Flow::kNext;
}

absl::Status Interpreter::Write(absl::string_view text) {
  SF_RETURN_IF_ERROR(budget_.ChargeBytes(text.size()));
  if (text.size() > kMaxOutputBytes - out_->size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the template writes more than ", kMaxOutputBytes, " bytes"));
  }
  absl::StrAppend(out_, text);
  return absl::OkStatus();
}

absl::Status Interpreter::RunOutput(const Statement& statement) {
  SF_ASSIGN_OR_RETURN(const Value value, Evaluate(*statement.value));
  if (value.is(Value::Kind::kString)) return At(statement.at, Write(value.as_string()));
  const absl::StatusOr<std::string> text = ToText(value, budget_);
  if (!text.ok()) return At(statement.at, text.status());
  return At(statement.at, Write(*text));
}

absl::Status Interpreter::Assign(const std::vector<std::string>& names, const Value& value) {
  if (names.size() == 1) {
    scope_->variables[names[0]] = value;
    return absl::OkStatus();
  }
  SF_ASSIGN_OR_RETURN(const std::vector<Value> parts, Items(value, budget_));
  if (parts.size() != names.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(parts.size(), " values for ", names.size(), " names"));
  }
  for (size_t i = 0; i < names.size(); ++i) scope_->variables[names[i]] = parts[i];
  return absl::OkStatus();
}

absl::Status Interpreter::RunSet(const Statement& statement) {
  SF_ASSIGN_OR_RETURN(const Value value, Evaluate(*statement.value));
  if (!value.is_data()) {
    return At(statement.at, absl::UnimplementedError(
                                absl::StrCat("keeping ", value.TypeName(), " is not supported")));
  }
  return At(statement.at, Assign(statement.names, value));
}

absl::Status Interpreter::RunSetMember(const Statement& statement) {
  const Value space = Lookup(statement.text);
  if (!space.is(Value::Kind::kNamespace)) {
    return At(statement.at, absl::InvalidArgumentError(absl::StrCat("a member of ", statement.text,
                                                                    ", which is no namespace")));
  }
  SF_ASSIGN_OR_RETURN(Value value, Evaluate(*statement.value));
  if (!value.is_data()) {
    return At(statement.at, absl::UnimplementedError(
                                absl::StrCat("keeping ", value.TypeName(), " is not supported")));
  }
  space.as_namespace().members[statement.names[0]] = std::move(value);
  return absl::OkStatus();
}

// A body in a set sees the variables around it, and its own are its own.
absl::Status Interpreter::RunCapture(const Statement& statement) {
  std::string text;
  {
    Scope scope{.outer = scope_};
    const Restored<Scope*> inner(scope_, &scope);
    const Restored<std::string*> captured(out_, &text);
    SF_ASSIGN_OR_RETURN(const Flow flow, RunBlock(statement.body));
    if (flow != Flow::kNext) return Refused(statement.at, "a jump out of a set's body");
  }
  scope_->variables[statement.names[0]] = Value::String(std::move(text));
  return absl::OkStatus();
}

absl::StatusOr<Interpreter::Flow> Interpreter::RunIf(const Statement& statement) {
  for (const Branch& branch : statement.branches) {
    if (branch.condition != nullptr) {
      SF_ASSIGN_OR_RETURN(const Value condition, Evaluate(*branch.condition));
      if (!condition.IsTrue()) continue;
    }
    return RunBlock(branch.body);
  }
  return Flow::kNext;
}

absl::StatusOr<std::vector<Value>> Interpreter::LoopItems(const Statement& statement) {
  SF_ASSIGN_OR_RETURN(const Value value, Evaluate(*statement.value));
  absl::StatusOr<std::vector<Value>> items = Items(value, budget_);
  if (!items.ok()) return At(statement.at, items.status());
  if (statement.condition == nullptr) return items;
  std::vector<Value> kept;
  for (const Value& item : *items) {
    Scope scope{.outer = scope_};
    const Restored<Scope*> inner(scope_, &scope);
    SF_RETURN_IF_ERROR(At(statement.at, Assign(statement.names, item)));
    SF_ASSIGN_OR_RETURN(const Value condition, Evaluate(*statement.condition));
    if (condition.IsTrue()) kept.push_back(item);
  }
  return kept;
}

absl::StatusOr<Interpreter::Flow> Interpreter::RunFor(const Statement& statement) {
  SF_ASSIGN_OR_RETURN(const std::vector<Value> items, LoopItems(statement));
  Loop loop{.items = items};
  for (; loop.index < items.size(); ++loop.index) {
    Scope scope{.outer = scope_};
    const Restored<Scope*> inner(scope_, &scope);
    scope.variables["loop"] = Value::OfLoop(loop);
    SF_RETURN_IF_ERROR(At(statement.at, Assign(statement.names, items[loop.index])));
    SF_ASSIGN_OR_RETURN(const Flow flow, RunBlock(statement.body));
    if (flow == Flow::kBreak) break;
  }
  if (!items.empty() || statement.otherwise.empty()) return Flow::kNext;
  Scope scope{.outer = scope_};
  const Restored<Scope*> inner(scope_, &scope);
  return RunBlock(statement.otherwise);
}

}  // namespace spearfish::chat
