#include "common/chat/functions.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/chat/value_text.h"

namespace spearfish::chat {
namespace {

using Kind = Value::Kind;

// As Jinja's sandbox.
constexpr int64_t kMaxRange = 100000;
constexpr absl::string_view kTimeFields = "YmdHMSBbAajyIp%";

absl::StatusOr<Value> RaiseException(const Arguments& arguments, const FunctionContext& context) {
  SF_ASSIGN_OR_RETURN(const BoundArguments bound, Bind({{"message"}, 1}, arguments));
  SF_ASSIGN_OR_RETURN(const std::string message, ToText(*bound[0], context.budget));
  return absl::InvalidArgumentError(absl::StrCat("the template refuses this: ", message));
}

absl::StatusOr<Value> StrftimeNow(const Arguments& arguments, const FunctionContext& context) {
  SF_ASSIGN_OR_RETURN(const BoundArguments bound, Bind({{"format"}, 1}, arguments));
  if (!bound[0]->is(Kind::kString)) {
    return absl::InvalidArgumentError("strftime_now of anything but a string");
  }
  const absl::string_view format = bound[0]->as_string();
  SF_RETURN_IF_ERROR(context.budget.ChargeBytes(format.size()));
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') continue;
    ++i;
    if (i == format.size() || kTimeFields.find(format[i]) == absl::string_view::npos) {
      return absl::UnimplementedError(
          absl::StrCat("strftime_now with a field beyond %", kTimeFields, " is not supported"));
    }
  }
  return Value::String(absl::FormatTime(format, context.clock(), context.zone));
}

absl::StatusOr<Map> KeywordMap(absl::string_view function, const Arguments& arguments) {
  if (!arguments.positional.empty()) {
    return absl::UnimplementedError(
        absl::StrCat(function, " with an argument by position is not supported"));
  }
  Map map;
  for (const auto& [name, value] : arguments.keyword) {
    if (!value.is_data()) {
      return absl::UnimplementedError(
          absl::StrCat("keeping ", value.TypeName(), " is not supported"));
    }
    map.Insert(name, value);
  }
  return map;
}

absl::StatusOr<Value> MakeNamespace(const Arguments& arguments, const FunctionContext& context) {
  SF_ASSIGN_OR_RETURN(const Map map, KeywordMap("namespace", arguments));
  Namespace& space = context.namespaces.emplace_back();
  for (const auto& [name, value] : map.entries()) space.members[name] = value;
  return Value::OfNamespace(space);
}

absl::StatusOr<Value> MakeDict(const Arguments& arguments) {
  SF_ASSIGN_OR_RETURN(Map map, KeywordMap("dict", arguments));
  return Value::OfMap(std::move(map));
}

absl::StatusOr<Value> Range(const Arguments& arguments, const FunctionContext& context) {
  SF_ASSIGN_OR_RETURN(const BoundArguments bound,
                      Bind({{"/start", "/stop", "/step"}, 1}, arguments));
  for (size_t i = 0; i < 3; ++i) {
    if (bound[i] != nullptr && !bound[i]->is(Kind::kInt)) {
      return absl::InvalidArgumentError(absl::StrCat("range over ", bound[i]->TypeName()));
    }
  }
  const int64_t start = bound[1] == nullptr ? 0 : bound[0]->as_int();
  const int64_t stop = (bound[1] == nullptr ? bound[0] : bound[1])->as_int();
  const int64_t step = bound[2] == nullptr ? 1 : bound[2]->as_int();
  if (step == 0) return absl::InvalidArgumentError("range with step 0");
  constexpr int64_t kMostBound = int64_t{1} << 40;
  if (std::max({start, stop, step}) > kMostBound || std::min({start, stop, step}) < -kMostBound) {
    return absl::InvalidArgumentError("range over too large numbers");
  }
  std::vector<Value> items;
  for (int64_t i = start; step > 0 ? i < stop : i > stop; i += step) {
    if (items.size() == kMaxRange) return absl::InvalidArgumentError("range over too many numbers");
    items.push_back(Value::Int(i));
  }
  SF_RETURN_IF_ERROR(context.budget.Charge(items.size()));
  return Value::OfList(std::move(items), Value::Shape::kView);
}

}  // namespace

bool IsFunction(absl::string_view name) {
  constexpr absl::string_view kNames[] = {"raise_exception", "strftime_now", "namespace", "dict",
                                          "range"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

absl::StatusOr<Value> CallFunction(absl::string_view name, const Arguments& arguments,
                                   const FunctionContext& context) {
  if (name == "raise_exception") return RaiseException(arguments, context);
  if (name == "strftime_now") return StrftimeNow(arguments, context);
  if (name == "namespace") return MakeNamespace(arguments, context);
  if (name == "dict") return MakeDict(arguments);
  if (name == "range") return Range(arguments, context);
  return absl::InvalidArgumentError(absl::StrCat("no function is called ", name));
}

}  // namespace spearfish::chat
