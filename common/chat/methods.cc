#include "common/chat/methods.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/chat/string_operations.h"
#include "common/chat/text.h"

namespace spearfish::chat {
namespace {

using Kind = Value::Kind;

struct Method {
  absl::string_view name;
  Signature signature;
  absl::StatusOr<Value> (*run)(const Value& object, const BoundArguments& arguments,
                               Budget& budget);
};

// What str has beyond the table below; likewise dict, list and numbers.
constexpr absl::string_view kOtherStringMethods[] = {
    "casefold",     "center",     "count",        "encode",       "expandtabs", "find",
    "format",       "format_map", "index",        "isalnum",      "isalpha",    "isascii",
    "isdecimal",    "isdigit",    "isidentifier", "islower",      "isnumeric",  "isprintable",
    "isspace",      "istitle",    "isupper",      "ljust",        "maketrans",  "partition",
    "removeprefix", "rfind",      "rindex",       "removesuffix", "rjust",      "rpartition",
    "splitlines",   "swapcase",   "title",        "translate",    "zfill"};
constexpr absl::string_view kOtherMapMethods[] = {"clear",   "copy",       "fromkeys", "pop",
                                                  "popitem", "setdefault", "update"};
constexpr absl::string_view kListMethods[] = {"append", "clear",   "copy",   "count",
                                              "extend", "index",   "insert", "pop",
                                              "remove", "reverse", "sort"};
constexpr absl::string_view kNumberMethods[] = {
    "as_integer_ratio", "bit_count", "bit_length", "conjugate", "denominator",
    "from_bytes",       "fromhex",   "hex",        "imag",      "is_integer",
    "numerator",        "real",      "to_bytes"};

template <size_t kSize>
bool Has(const absl::string_view (&names)[kSize], absl::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

absl::StatusOr<absl::string_view> StringArgument(const Value& value) {
  if (value.is(Kind::kString)) return value.as_string();
  return absl::InvalidArgumentError(
      absl::StrCat("an argument that must be a string is ", value.TypeName()));
}

// `otherwise` when it was not given.
absl::StatusOr<int64_t> IntArgument(const Value* value, int64_t otherwise) {
  if (value == nullptr) return otherwise;
  if (value->is(Kind::kInt)) return value->as_int();
  return absl::InvalidArgumentError(
      absl::StrCat("an argument that must be an integer is ", value->TypeName()));
}

template <From kFrom>
absl::StatusOr<Value> SplitMethod(const Value& object, const BoundArguments& arguments,
                                  Budget& budget) {
  SF_ASSIGN_OR_RETURN(const int64_t limit, IntArgument(arguments[1], -1));
  if (arguments[0] == nullptr || arguments[0]->is(Kind::kNone)) {
    return SplitWords(object.as_string(), limit, kFrom, budget);
  }
  SF_ASSIGN_OR_RETURN(const absl::string_view separator, StringArgument(*arguments[0]));
  return Split(object.as_string(), separator, limit, kFrom, budget);
}

template <bool kLeft, bool kRight>
absl::StatusOr<Value> StripMethod(const Value& object, const BoundArguments& arguments,
                                  Budget& budget) {
  absl::string_view text = object.as_string();
  if (arguments[0] == nullptr || arguments[0]->is(Kind::kNone)) {
    SF_RETURN_IF_ERROR(budget.ChargeBytes(text.size()));
    if (kLeft) text = StripSpaceLeft(text);
    if (kRight) text = StripSpaceRight(text);
    return Value::String(text);
  }
  SF_ASSIGN_OR_RETURN(const absl::string_view characters, StringArgument(*arguments[0]));
  SF_RETURN_IF_ERROR(ChargeSearch(text, characters, budget));
  if (kLeft) text = StripLeft(text, characters);
  if (kRight) text = StripRight(text, characters);
  return Value::String(text);
}

bool Matches(absl::string_view text, absl::string_view affix, From from) {
  return from == From::kLeft ? absl::StartsWith(text, affix) : absl::EndsWith(text, affix);
}

template <From kFrom>
absl::StatusOr<Value> AffixMethod(const Value& object, const BoundArguments& arguments,
                                  Budget& budget) {
  const absl::string_view text = object.as_string();
  if (!arguments[0]->is(Kind::kList) || arguments[0]->shape() != Value::Shape::kTuple) {
    SF_ASSIGN_OR_RETURN(const absl::string_view affix, StringArgument(*arguments[0]));
    SF_RETURN_IF_ERROR(budget.ChargeBytes(affix.size()));
    return Value::Bool(Matches(text, affix, kFrom));
  }
  bool matches = false;
  for (const Value& item : arguments[0]->as_list()) {
    SF_ASSIGN_OR_RETURN(const absl::string_view affix, StringArgument(item));
    SF_RETURN_IF_ERROR(budget.ChargeBytes(affix.size()));
    matches = matches || Matches(text, affix, kFrom);
  }
  return Value::Bool(matches);
}

absl::StatusOr<Value> ReplaceMethod(const Value& object, const BoundArguments& arguments,
                                    Budget& budget) {
  SF_ASSIGN_OR_RETURN(const absl::string_view what, StringArgument(*arguments[0]));
  SF_ASSIGN_OR_RETURN(const absl::string_view by, StringArgument(*arguments[1]));
  SF_ASSIGN_OR_RETURN(const int64_t limit, IntArgument(arguments[2], -1));
  return Replace(object.as_string(), what, by, limit, budget);
}

template <Case kTo>
absl::StatusOr<Value> CaseMethod(const Value& object, const BoundArguments& /*arguments*/,
                                 Budget& budget) {
  return ChangeCase(object.as_string(), kTo, budget);
}

absl::StatusOr<Value> JoinMethod(const Value& object, const BoundArguments& arguments,
                                 Budget& budget) {
  if (!arguments[0]->is(Kind::kList)) {
    return absl::InvalidArgumentError(absl::StrCat("join of ", arguments[0]->TypeName()));
  }
  return Join(arguments[0]->as_list(), object.as_string(), /*only_strings=*/true, budget);
}

absl::StatusOr<Value> GetMethod(const Value& object, const BoundArguments& arguments,
                                Budget& /*budget*/) {
  const Value* const found =
      arguments[0]->is(Kind::kString) ? object.as_map().Find(arguments[0]->as_string()) : nullptr;
  if (found != nullptr) return *found;
  return arguments[1] == nullptr ? Value::None() : *arguments[1];
}

absl::StatusOr<Value> ItemsMethod(const Value& object, const BoundArguments& /*arguments*/,
                                  Budget& budget) {
  const auto& entries = object.as_map().entries();
  SF_RETURN_IF_ERROR(budget.Charge(4 * entries.size()));
  std::vector<Value> items;
  for (const auto& [key, value] : entries) {
    SF_RETURN_IF_ERROR(budget.ChargeBytes(key.size()));
    SF_ASSIGN_OR_RETURN(Value pair,
                        Value::OfList({Value::String(key), value}, Value::Shape::kTuple));
    items.push_back(std::move(pair));
  }
  return Value::OfList(std::move(items), Value::Shape::kView);
}

template <bool kKeys>
absl::StatusOr<Value> HalfMethod(const Value& object, const BoundArguments& /*arguments*/,
                                 Budget& budget) {
  const auto& entries = object.as_map().entries();
  SF_RETURN_IF_ERROR(budget.Charge(2 * entries.size()));
  std::vector<Value> items;
  for (const auto& [key, value] : entries) items.push_back(kKeys ? Value::String(key) : value);
  return Value::OfList(std::move(items), Value::Shape::kView);
}

const std::vector<Method>& StringMethods() {
  static const auto* const table = new std::vector<Method>{
      {"split", {{"sep", "maxsplit"}}, SplitMethod<From::kLeft>},
      {"rsplit", {{"sep", "maxsplit"}}, SplitMethod<From::kRight>},
      {"strip", {{"/chars"}}, StripMethod<true, true>},
      {"lstrip", {{"/chars"}}, StripMethod<true, false>},
      {"rstrip", {{"/chars"}}, StripMethod<false, true>},
      {"startswith", {{"/prefix"}, 1}, AffixMethod<From::kLeft>},
      {"endswith", {{"/suffix"}, 1}, AffixMethod<From::kRight>},
      {"replace", {{"/old", "/new", "/count"}, 2}, ReplaceMethod},
      {"upper", {}, CaseMethod<Case::kUpper>},
      {"lower", {}, CaseMethod<Case::kLower>},
      {"capitalize", {}, CaseMethod<Case::kCapitalize>},
      {"join", {{"/iterable"}, 1}, JoinMethod},
  };
  return *table;
}

const std::vector<Method>& MapMethods() {
  static const auto* const table = new std::vector<Method>{
      {"get", {{"/key", "/default"}, 1}, GetMethod},
      {"items", {}, ItemsMethod},
      {"keys", {}, HalfMethod<true>},
      {"values", {}, HalfMethod<false>},
  };
  return *table;
}

const Method* Find(const std::vector<Method>& table, absl::string_view name) {
  const auto found = std::find_if(table.begin(), table.end(),
                                  [name](const Method& method) { return method.name == name; });
  return found == table.end() ? nullptr : &*found;
}

const Method* FindOf(const Value& object, absl::string_view name) {
  if (object.is(Kind::kString)) return Find(StringMethods(), name);
  return object.is(Kind::kMap) ? Find(MapMethods(), name) : nullptr;
}

absl::StatusOr<Value> Cycle(const Loop& loop, const Arguments& arguments) {
  if (arguments.positional.empty() || !arguments.keyword.empty()) {
    return absl::InvalidArgumentError("loop.cycle without a value");
  }
  return arguments.positional[loop.index % arguments.positional.size()];
}

}  // namespace

bool IsSupportedMethod(absl::string_view name) {
  return name == "cycle" || Find(StringMethods(), name) != nullptr ||
         Find(MapMethods(), name) != nullptr;
}

bool IsSupportedMethodOf(const Value& object, absl::string_view name) {
  return FindOf(object, name) != nullptr;
}

bool IsPythonMethodOf(const Value& object, absl::string_view name) {
  switch (object.kind()) {
    case Kind::kString:
      return FindOf(object, name) != nullptr || Has(kOtherStringMethods, name);
    case Kind::kMap:
      return FindOf(object, name) != nullptr || Has(kOtherMapMethods, name);
    case Kind::kList:
      return Has(kListMethods, name);
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kFloat:
      return Has(kNumberMethods, name);
    default:
      return false;
  }
}

absl::StatusOr<Value> CallMethod(const Value& object, absl::string_view name,
                                 const Arguments& arguments, Budget& budget) {
  if (object.is(Kind::kLoop) && name == "cycle") return Cycle(object.as_loop(), arguments);
  const Method* const method = FindOf(object, name);
  if (method == nullptr) {
    return absl::UnimplementedError(
        absl::StrCat("the method ", name, " of ", object.TypeName(), " is not supported"));
  }
  SF_ASSIGN_OR_RETURN(const BoundArguments bound, Bind(method->signature, arguments));
  return method->run(object, bound, budget);
}

}  // namespace spearfish::chat
