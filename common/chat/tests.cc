#include "common/chat/tests.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/chat/operators.h"

namespace spearfish::chat {
namespace {

using Kind = Value::Kind;

// A test that only looks at the kind.
template <bool (*kHolds)(const Value&)>
absl::StatusOr<bool> Holds(const Value& input, const BoundArguments& /*arguments*/,
                           Budget& /*budget*/) {
  return kHolds(input);
}

bool IsDefined(const Value& v) { return !v.is(Kind::kUndefined); }
bool IsUndefined(const Value& v) { return v.is(Kind::kUndefined); }
bool IsNone(const Value& v) { return v.is(Kind::kNone); }
bool IsBoolean(const Value& v) { return v.is(Kind::kBool); }
bool IsTrueItself(const Value& v) { return v.is(Kind::kBool) && v.as_bool(); }
bool IsFalseItself(const Value& v) { return v.is(Kind::kBool) && !v.as_bool(); }
bool IsInteger(const Value& v) { return v.is(Kind::kInt); }
bool IsFloat(const Value& v) { return v.is(Kind::kFloat); }
bool IsNumber(const Value& v) { return v.is_number(); }
bool IsString(const Value& v) { return v.is(Kind::kString); }
bool IsMapping(const Value& v) { return v.is(Kind::kMap); }
// As in Jinja, an undefined value can be called; the call is the error.
bool IsCallable(const Value& v) { return v.is(Kind::kCallable) || v.is(Kind::kUndefined); }
// As in Jinja, an undefined value is an empty sequence.
bool IsSequence(const Value& v) {
  return v.is(Kind::kString) || v.is_indexable() || v.is(Kind::kMap) || v.is(Kind::kUndefined);
}
bool IsIterable(const Value& v) { return IsSequence(v) || v.is(Kind::kList) || v.is(Kind::kLoop); }

template <const char* kOperator>
absl::StatusOr<bool> Compares(const Value& input, const BoundArguments& arguments, Budget& budget) {
  return Compare(kOperator, input, *arguments[0], budget);
}

constexpr char kEqual[] = "==";
constexpr char kNotEqual[] = "!=";
constexpr char kLess[] = "<";
constexpr char kLessEqual[] = "<=";
constexpr char kGreater[] = ">";
constexpr char kGreaterEqual[] = ">=";
constexpr char kIn[] = "in";

template <int64_t kRemainder>
absl::StatusOr<bool> RemainderOfTwoIs(const Value& input, const BoundArguments& /*arguments*/,
                                      Budget& /*budget*/) {
  if (!input.is(Kind::kInt)) {
    return absl::InvalidArgumentError(absl::StrCat("odd or even of ", input.TypeName()));
  }
  return (input.as_int() & 1) == kRemainder;
}

const std::vector<Test>& Table() {
  static const auto* const table = new std::vector<Test>{
      {"defined", {}, Holds<IsDefined>},
      {"undefined", {}, Holds<IsUndefined>},
      {"none", {}, Holds<IsNone>},
      {"boolean", {}, Holds<IsBoolean>},
      {"true", {}, Holds<IsTrueItself>},
      {"false", {}, Holds<IsFalseItself>},
      {"integer", {}, Holds<IsInteger>},
      {"float", {}, Holds<IsFloat>},
      {"number", {}, Holds<IsNumber>},
      {"string", {}, Holds<IsString>},
      {"mapping", {}, Holds<IsMapping>},
      {"sequence", {}, Holds<IsSequence>},
      {"iterable", {}, Holds<IsIterable>},
      {"callable", {}, Holds<IsCallable>},
      {"odd", {}, RemainderOfTwoIs<1>},
      {"even", {}, RemainderOfTwoIs<0>},
      {"eq", {{"other"}, 1}, Compares<kEqual>},
      {"equalto", {{"other"}, 1}, Compares<kEqual>},
      {"ne", {{"other"}, 1}, Compares<kNotEqual>},
      {"lt", {{"other"}, 1}, Compares<kLess>},
      {"lessthan", {{"other"}, 1}, Compares<kLess>},
      {"le", {{"other"}, 1}, Compares<kLessEqual>},
      {"gt", {{"other"}, 1}, Compares<kGreater>},
      {"greaterthan", {{"other"}, 1}, Compares<kGreater>},
      {"ge", {{"other"}, 1}, Compares<kGreaterEqual>},
      {"in", {{"seq"}, 1}, Compares<kIn>},
  };
  return *table;
}

}  // namespace

const Test* FindTest(absl::string_view name) {
  const auto& table = Table();
  const auto found = std::find_if(table.begin(), table.end(),
                                  [name](const Test& test) { return test.name == name; });
  return found == table.end() ? nullptr : &*found;
}

}  // namespace spearfish::chat
