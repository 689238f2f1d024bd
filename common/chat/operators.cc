#include "common/chat/operators.h"

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/chat/text.h"
#include "common/chat/value_text.h"

namespace spearfish::chat {
namespace {

using Kind = Value::Kind;

absl::Status NoSuchOperator(absl::string_view op, const Value& left, const Value& right) {
  return absl::InvalidArgumentError(absl::StrCat("the operator ", op, " between ", left.TypeName(),
                                                 " and ", right.TypeName(), " is not supported"));
}

double AsDouble(const Value& value) {
  return value.is(Kind::kFloat) ? value.as_float() : static_cast<double>(value.AsInteger());
}

// Towards minus infinity. `b` is not zero.
int64_t FloorDivide(int64_t a, int64_t b) {
  const int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

absl::StatusOr<Value> OnIntegers(absl::string_view op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  if (op == "+") {
    overflow = __builtin_add_overflow(a, b, &result);
  } else if (op == "-") {
    overflow = __builtin_sub_overflow(a, b, &result);
  } else if (op == "*") {
    overflow = __builtin_mul_overflow(a, b, &result);
  } else if (b == 0) {
    return absl::InvalidArgumentError("division by zero");
  } else if (op == "/") {
    return Value::Float(static_cast<double>(a) / static_cast<double>(b));
  } else if (b == -1) {  // the least integer has no counterpart
    overflow = __builtin_sub_overflow(int64_t{0}, a, &result);
    if (op == "%") return Value::Int(0);
  } else {
    result = op == "//" ? FloorDivide(a, b) : a - FloorDivide(a, b) * b;
  }
  if (overflow) return absl::UnimplementedError("an integer beyond 64 bits is not supported");
  return Value::Int(result);
}

absl::StatusOr<Value> OnFloats(absl::string_view op, double a, double b) {
  if (op == "+") return Value::Float(a + b);
  if (op == "-") return Value::Float(a - b);
  if (op == "*") return Value::Float(a * b);
  if (b == 0) return absl::InvalidArgumentError("division by zero");
  if (op == "/") return Value::Float(a / b);
  return absl::UnimplementedError(absl::StrCat("the operator ", op, " on floats is not supported"));
}

// Text that `| safe` made escapes what is added to it, and stays as it is only without special
// characters on the other side.
absl::StatusOr<Value> AddStrings(const Value& left, const Value& right, Budget& budget) {
  SF_RETURN_IF_ERROR(budget.ChargeBytes(left.as_string().size() + right.as_string().size()));
  std::string text = absl::StrCat(left.as_string(), right.as_string());
  if (left.is_safe() == right.is_safe()) {
    return left.is_safe() ? Value::SafeString(std::move(text)) : Value::String(std::move(text));
  }
  const Value& plain = left.is_safe() ? right : left;
  if (plain.as_string().find_first_of("&<>'\"") != absl::string_view::npos) {
    return absl::UnimplementedError("the operator + after the filter safe is not supported");
  }
  return Value::SafeString(std::move(text));
}

absl::StatusOr<Value> AddLists(const Value& left, const Value& right, Budget& budget) {
  SF_RETURN_IF_ERROR(budget.Charge(left.as_list().size() + right.as_list().size()));
  std::vector<Value> items = left.as_list();
  items.insert(items.end(), right.as_list().begin(), right.as_list().end());
  return Value::OfList(std::move(items), left.shape());
}

absl::StatusOr<bool> Contains(const Value& container, const Value& item, Budget& budget) {
  switch (container.kind()) {
    case Kind::kUndefined:
      return false;
    case Kind::kString:
      if (!item.is(Kind::kString)) break;
      SF_RETURN_IF_ERROR(ChargeSearch(container.as_string(), item.as_string(), budget));
      return absl::StrContains(container.as_string(), item.as_string());
    case Kind::kMap:
      if (item.is(Kind::kList) || item.is(Kind::kMap)) break;
      return item.is(Kind::kString) && container.as_map().Find(item.as_string()) != nullptr;
    case Kind::kList:
      for (const Value& other : container.as_list()) {
        SF_ASSIGN_OR_RETURN(const bool equal, Equal(item, other, budget));
        if (equal) return true;
      }
      return false;
    default:
      break;
  }
  return NoSuchOperator("in", item, container);
}

template <typename T>
bool Ordered(absl::string_view op, const T& a, const T& b) {
  if (op == "<") return a < b;
  if (op == "<=") return a <= b;
  return op == ">" ? a > b : a >= b;
}

}  // namespace

absl::StatusOr<Value> Arithmetic(absl::string_view op, const Value& left, const Value& right,
                                 Budget& budget) {
  if (op == "+" && left.is(Kind::kString) && right.is(Kind::kString)) {
    return AddStrings(left, right, budget);
  }
  if (op == "+" && left.is(Kind::kList) && right.is(Kind::kList) && left.is_indexable() &&
      left.shape() == right.shape()) {
    return AddLists(left, right, budget);
  }
  if (!left.is_number() || !right.is_number()) return NoSuchOperator(op, left, right);
  if (left.is(Kind::kFloat) || right.is(Kind::kFloat)) {
    return OnFloats(op, AsDouble(left), AsDouble(right));
  }
  return OnIntegers(op, left.AsInteger(), right.AsInteger());
}

absl::StatusOr<Value> Concatenate(const Value& left, const Value& right, Budget& budget) {
  std::string text;
  SF_RETURN_IF_ERROR(AppendText(left, budget, text));
  SF_RETURN_IF_ERROR(AppendText(right, budget, text));
  return Value::String(std::move(text));
}

absl::StatusOr<bool> Compare(absl::string_view op, const Value& left, const Value& right,
                             Budget& budget) {
  if (op == "==") return Equal(left, right, budget);
  if (op == "!=") {
    SF_ASSIGN_OR_RETURN(const bool equal, Equal(left, right, budget));
    return !equal;
  }
  if (op == "in") return Contains(right, left, budget);
  if (op == "not in") {
    SF_ASSIGN_OR_RETURN(const bool contains, Contains(right, left, budget));
    return !contains;
  }
  if (left.is(Kind::kString) && right.is(Kind::kString)) {  // UTF-8 sorts as code points do
    return Ordered(op, left.as_string(), right.as_string());
  }
  if (!left.is_number() || !right.is_number()) return NoSuchOperator(op, left, right);
  if (left.is(Kind::kFloat) || right.is(Kind::kFloat)) {
    return Ordered(op, AsDouble(left), AsDouble(right));
  }
  return Ordered(op, left.AsInteger(), right.AsInteger());
}

absl::StatusOr<Value> Negate(const Value& value) {
  if (value.is(Kind::kFloat)) return Value::Float(-value.as_float());
  if (!value.is_number()) {
    return absl::InvalidArgumentError(absl::StrCat("the negative of ", value.TypeName()));
  }
  return OnIntegers("-", 0, value.AsInteger());
}

}  // namespace spearfish::chat
