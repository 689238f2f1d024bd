#include "common/chat/filters.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/chat/access.h"
#include "common/chat/methods.h"
#include "common/chat/string_operations.h"
#include "common/chat/tests.h"
#include "common/chat/text.h"
#include "common/chat/to_json.h"
#include "common/chat/value_text.h"

namespace spearfish::chat {
namespace {

using Kind = Value::Kind;

constexpr int64_t kMaxIndent = 64;

absl::Status Wrong(absl::string_view filter, const Value& input) {
  return absl::InvalidArgumentError(absl::StrCat("the filter ", filter, " on ", input.TypeName()));
}

bool Flag(const Value* value) { return value != nullptr && value->IsTrue(); }

absl::Status SetIndent(const Value* value, JsonFormat& format) {
  if (value == nullptr || value->is(Kind::kNone)) return absl::OkStatus();
  if (value->is(Kind::kInt) && value->as_int() <= kMaxIndent) {
    format.indent = std::string(static_cast<size_t>(std::max<int64_t>(value->as_int(), 0)), ' ');
  } else if (value->is(Kind::kString) && value->as_string().size() <= kMaxIndent) {
    format.indent = std::string(value->as_string());
  } else {
    return absl::InvalidArgumentError("an indent that is no small number or short string");
  }
  format.item_separator.assign(1, ',');  // g++ 12 warns wrongly of a text here
  return absl::OkStatus();
}

absl::Status SetSeparators(const Value* value, JsonFormat& format) {
  if (value == nullptr || value->is(Kind::kNone)) return absl::OkStatus();
  if (!value->is(Kind::kList) || value->as_list().size() != 2 ||
      !value->as_list()[0].is(Kind::kString) || !value->as_list()[1].is(Kind::kString)) {
    return absl::InvalidArgumentError("separators that are not two strings");
  }
  format.item_separator = std::string(value->as_list()[0].as_string());
  format.key_separator = std::string(value->as_list()[1].as_string());
  return absl::OkStatus();
}

// transformers' own: json.dumps(value, ensure_ascii=False, ...), no HTML escapes.
absl::StatusOr<Value> ToJson(const Value& input, const BoundArguments& arguments, Budget& budget) {
  JsonFormat format;
  format.ensure_ascii = Flag(arguments[0]);
  SF_RETURN_IF_ERROR(SetIndent(arguments[1], format));
  SF_RETURN_IF_ERROR(SetSeparators(arguments[2], format));
  format.sort_keys = Flag(arguments[3]);
  std::string text;
  SF_RETURN_IF_ERROR(AppendJson(input, format, budget, text));
  return Value::String(std::move(text));
}

absl::StatusOr<Value> Length(const Value& input, const BoundArguments& /*arguments*/,
                             Budget& budget) {
  switch (input.kind()) {
    case Kind::kUndefined:
      return Value::Int(0);
    case Kind::kString:
      SF_RETURN_IF_ERROR(budget.ChargeBytes(input.as_string().size()));
      return Value::Int(static_cast<int64_t>(NumCodePoints(input.as_string())));
    case Kind::kList:
      if (input.shape() == Value::Shape::kIterator) return Wrong("length", input);
      return Value::Int(static_cast<int64_t>(input.as_list().size()));
    case Kind::kMap:
      return Value::Int(static_cast<int64_t>(input.as_map().entries().size()));
    default:
      return Wrong("length", input);
  }
}

absl::StatusOr<Value> Trim(const Value& input, const BoundArguments& arguments, Budget& budget) {
  SF_ASSIGN_OR_RETURN(const std::string text, ToText(input, budget));
  if (arguments[0] == nullptr || arguments[0]->is(Kind::kNone)) {
    return Value::String(StripSpaceLeft(StripSpaceRight(text)));
  }
  if (!arguments[0]->is(Kind::kString)) return Wrong("trim with characters", *arguments[0]);
  const absl::string_view characters = arguments[0]->as_string();
  SF_RETURN_IF_ERROR(ChargeSearch(text, characters, budget));
  return Value::String(StripLeft(StripRight(text, characters), characters));
}

// a.b.c of an item, undefined on the way allowed for the last step only.
absl::StatusOr<Value> Member(const Value& item, const Value& path, Budget& budget) {
  if (!path.is(Kind::kString)) return Item(item, path, budget);
  Value value = item;
  for (const absl::string_view name : absl::StrSplit(path.as_string(), '.')) {
    SF_ASSIGN_OR_RETURN(value, Item(value, Value::String(name), budget));
  }
  return value;
}

absl::StatusOr<Value> JoinFilter(const Value& input, const BoundArguments& arguments,
                                 Budget& budget) {
  SF_ASSIGN_OR_RETURN(std::vector<Value> items, Items(input, budget));
  if (arguments[1] != nullptr && !arguments[1]->is(Kind::kNone)) {
    for (Value& item : items) {
      SF_ASSIGN_OR_RETURN(item, Member(item, *arguments[1], budget));
    }
  }
  std::string separator;
  if (arguments[0] != nullptr) {
    SF_ASSIGN_OR_RETURN(separator, ToText(*arguments[0], budget));
  }
  return Join(items, separator, /*only_strings=*/false, budget);
}

absl::StatusOr<Value> First(const Value& input, const BoundArguments& /*arguments*/,
                            Budget& budget) {
  SF_ASSIGN_OR_RETURN(const std::vector<Value> items, Items(input, budget));
  return items.empty() ? Value() : items.front();
}

absl::StatusOr<Value> Last(const Value& input, const BoundArguments& /*arguments*/,
                           Budget& budget) {
  SF_ASSIGN_OR_RETURN(const std::vector<Value> items, Items(input, budget));
  return items.empty() ? Value() : items.back();
}

absl::StatusOr<Value> Default(const Value& input, const BoundArguments& arguments,
                              Budget& /*budget*/) {
  const bool missing = input.is(Kind::kUndefined) || (Flag(arguments[1]) && !input.IsTrue());
  if (!missing) return input;
  return arguments[0] == nullptr ? Value::String(std::string()) : *arguments[0];
}

template <Case kTo>
absl::StatusOr<Value> CaseFilter(const Value& input, const BoundArguments& /*arguments*/,
                                 Budget& budget) {
  SF_ASSIGN_OR_RETURN(const std::string text, ToText(input, budget));
  return ChangeCase(text, kTo, budget);
}

absl::StatusOr<Value> ItemsFilter(const Value& input, const BoundArguments& /*arguments*/,
                                  Budget& budget) {
  if (input.is(Kind::kUndefined)) return Value::OfList({}, Value::Shape::kIterator);
  if (!input.is(Kind::kMap)) return Wrong("items", input);
  SF_ASSIGN_OR_RETURN(const Value view, CallMethod(input, "items", {}, budget));
  return Value::OfList(view.as_list(), Value::Shape::kIterator);
}

absl::StatusOr<Value> StringFilter(const Value& input, const BoundArguments& /*arguments*/,
                                   Budget& budget) {
  if (input.is(Kind::kString)) return input;
  SF_ASSIGN_OR_RETURN(std::string text, ToText(input, budget));
  return Value::String(std::move(text));
}

absl::StatusOr<Value> Safe(const Value& input, const BoundArguments& /*arguments*/,
                           Budget& budget) {
  SF_ASSIGN_OR_RETURN(std::string text, ToText(input, budget));
  return Value::SafeString(std::move(text));
}

absl::StatusOr<Value> ListFilter(const Value& input, const BoundArguments& /*arguments*/,
                                 Budget& budget) {
  SF_ASSIGN_OR_RETURN(std::vector<Value> items, Items(input, budget));
  return Value::OfList(std::move(items));
}

absl::StatusOr<Value> Reverse(const Value& input, const BoundArguments& /*arguments*/,
                              Budget& budget) {
  SF_ASSIGN_OR_RETURN(std::vector<Value> items, Items(input, budget));
  std::reverse(items.begin(), items.end());
  if (input.is(Kind::kString)) return Join(items, "", /*only_strings=*/true, budget);
  return Value::OfList(std::move(items), Value::Shape::kIterator);
}

absl::StatusOr<Value> ReplaceFilter(const Value& input, const BoundArguments& arguments,
                                    Budget& budget) {
  int64_t limit = -1;
  if (arguments[2] != nullptr && !arguments[2]->is(Kind::kNone)) {
    if (!arguments[2]->is(Kind::kInt)) return Wrong("replace with a count", *arguments[2]);
    limit = arguments[2]->as_int();
  }
  SF_ASSIGN_OR_RETURN(const std::string text, ToText(input, budget));
  SF_ASSIGN_OR_RETURN(const std::string what, ToText(*arguments[0], budget));
  SF_ASSIGN_OR_RETURN(const std::string by, ToText(*arguments[1], budget));
  return Replace(text, what, by, limit, budget);
}

absl::StatusOr<Value> Absolute(const Value& input, const BoundArguments& /*arguments*/,
                               Budget& /*budget*/) {
  if (input.is(Kind::kFloat)) {
    return Value::Float(input.as_float() < 0 ? -input.as_float() : input.as_float());
  }
  if (!input.is(Kind::kInt) || input.as_int() == INT64_MIN) return Wrong("abs", input);
  return Value::Int(input.as_int() < 0 ? -input.as_int() : input.as_int());
}

// map(attribute=path, default=value) or map('filter').
absl::StatusOr<Value> MapFilter(const Value& input, const BoundArguments& arguments,
                                Budget& budget) {
  SF_ASSIGN_OR_RETURN(std::vector<Value> items, Items(input, budget));
  const Filter* filter = nullptr;
  if (arguments[0] != nullptr && arguments[0]->is(Kind::kString) && arguments[1] == nullptr) {
    filter = FindFilter(arguments[0]->as_string());
  }
  if (filter == nullptr && (arguments[0] != nullptr || arguments[1] == nullptr)) {
    return absl::UnimplementedError(
        "map of anything but a filter or an attribute is not supported");
  }
  for (Value& item : items) {
    if (filter != nullptr) {
      SF_ASSIGN_OR_RETURN(const BoundArguments none, Bind(filter->signature, {}));
      SF_ASSIGN_OR_RETURN(item, filter->run(Value(item), none, budget));
    } else {
      SF_ASSIGN_OR_RETURN(item, Member(item, *arguments[1], budget));
      if (item.is(Kind::kUndefined) && arguments[2] != nullptr) item = *arguments[2];
    }
  }
  return Value::OfList(std::move(items), Value::Shape::kIterator);
}

// Truth of `value`, or what the named test says of it with the argument after the name.
absl::StatusOr<bool> Passes(const Value& value, const Value* test_name, const Value* argument,
                            Budget& budget) {
  if (test_name == nullptr) return value.IsTrue();
  const Test* const test =
      test_name->is(Kind::kString) ? FindTest(test_name->as_string()) : nullptr;
  if (test == nullptr) return absl::UnimplementedError("a test of that name is not supported");
  Arguments arguments;
  if (argument != nullptr) arguments.positional.push_back(*argument);
  SF_ASSIGN_OR_RETURN(const BoundArguments bound, Bind(test->signature, arguments));
  return test->run(value, bound, budget);
}

// select, reject; selectattr, rejectattr: the first argument is what of the item is looked at.
template <bool kKeepPassing, bool kOfMember>
absl::StatusOr<Value> SelectFilter(const Value& input, const BoundArguments& arguments,
                                   Budget& budget) {
  SF_ASSIGN_OR_RETURN(const std::vector<Value> items, Items(input, budget));
  constexpr size_t kTest = kOfMember ? 1 : 0;
  std::vector<Value> kept;
  for (const Value& item : items) {
    Value looked_at = item;
    if (kOfMember) {
      SF_ASSIGN_OR_RETURN(looked_at, Member(item, *arguments[0], budget));
    }
    SF_ASSIGN_OR_RETURN(const bool passes,
                        Passes(looked_at, arguments[kTest], arguments[kTest + 1], budget));
    if (passes == kKeepPassing) kept.push_back(item);
  }
  return Value::OfList(std::move(kept), Value::Shape::kIterator);
}

const std::vector<Filter>& Table() {
  static const auto* const table = new std::vector<Filter>{
      {"tojson", {{"ensure_ascii", "indent", "separators", "sort_keys"}}, ToJson},
      {"length", {}, Length},
      {"count", {}, Length},
      {"trim", {{"chars"}}, Trim},
      {"join", {{"d", "attribute"}}, JoinFilter},
      {"first", {}, First},
      {"last", {}, Last},
      {"default", {{"default_value", "boolean"}}, Default},
      {"d", {{"default_value", "boolean"}}, Default},
      {"upper", {}, CaseFilter<Case::kUpper>},
      {"lower", {}, CaseFilter<Case::kLower>},
      {"capitalize", {}, CaseFilter<Case::kCapitalize>},
      {"items", {}, ItemsFilter},
      {"string", {}, StringFilter},
      {"safe", {}, Safe},
      {"list", {}, ListFilter},
      {"reverse", {}, Reverse},
      {"replace", {{"old", "new", "count"}, 2}, ReplaceFilter},
      {"abs", {}, Absolute},
      {"map", {{"/filter", "attribute", "default"}}, MapFilter},
      {"select", {{"/test", "/argument"}}, SelectFilter<true, false>},
      {"reject", {{"/test", "/argument"}}, SelectFilter<false, false>},
      {"selectattr", {{"/attribute", "/test", "/argument"}, 1}, SelectFilter<true, true>},
      {"rejectattr", {{"/attribute", "/test", "/argument"}, 1}, SelectFilter<false, true>},
  };
  return *table;
}

}  // namespace

const Filter* FindFilter(absl::string_view name) {
  const auto& table = Table();
  const auto found = std::find_if(table.begin(), table.end(),
                                  [name](const Filter& filter) { return filter.name == name; });
  return found == table.end() ? nullptr : &*found;
}

}  // namespace spearfish::chat
