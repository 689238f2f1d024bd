#include "common/chat/access.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/chat/methods.h"
#include "common/chat/text.h"

namespace spearfish::chat {
namespace {

using Kind = Value::Kind;

absl::Status NoItems(const Value& object) {
  return absl::InvalidArgumentError(absl::StrCat("an item or attribute of ", object.TypeName()));
}

// Undefined where the loop has none of that name.
absl::StatusOr<Value> LoopAttribute(const Loop& loop, absl::string_view name) {
  const auto index = static_cast<int64_t>(loop.index);
  const auto length = static_cast<int64_t>(loop.items.size());
  if (name == "index") return Value::Int(index + 1);
  if (name == "index0") return Value::Int(index);
  if (name == "revindex") return Value::Int(length - index);
  if (name == "revindex0") return Value::Int(length - index - 1);
  if (name == "first") return Value::Bool(index == 0);
  if (name == "last") return Value::Bool(index + 1 == length);
  if (name == "length") return Value::Int(length);
  if (name == "previtem") return index == 0 ? Value() : loop.items[loop.index - 1];
  if (name == "nextitem") return index + 1 == length ? Value() : loop.items[loop.index + 1];
  if (name == "cycle") return Value::Callable();
  return absl::UnimplementedError(absl::StrCat("loop.", name, " is not supported"));
}

// The method of that name; undefined where the type has none.
absl::StatusOr<Value> MethodValue(const Value& object, absl::string_view name) {
  if (IsSupportedMethodOf(object, name)) return Value::Callable();
  if (IsPythonMethodOf(object, name)) {
    return absl::UnimplementedError(
        absl::StrCat("the method ", name, " of ", object.TypeName(), " is not supported"));
  }
  return Value();
}

// A Python index into `size` items; none where it is outside.
std::optional<size_t> Index(int64_t index, size_t size) {
  const auto count = static_cast<int64_t>(size);
  if (index < 0) index += count;
  if (index < 0 || index >= count) return std::nullopt;
  return static_cast<size_t>(index);
}

absl::StatusOr<std::optional<int64_t>> Bound(const Value& value) {
  if (value.is(Kind::kNone) || value.is(Kind::kUndefined)) return std::optional<int64_t>();
  if (value.is(Kind::kInt)) return std::optional<int64_t>(value.as_int());
  return absl::InvalidArgumentError(absl::StrCat("a slice bound that is ", value.TypeName()));
}

// The indexes that a slice picks, in order: Python's slice.indices.
std::vector<size_t> Picked(std::optional<int64_t> start, std::optional<int64_t> stop, int64_t step,
                           int64_t size) {
  const int64_t least = step < 0 ? -1 : 0;
  const int64_t most = step < 0 ? size - 1 : size;
  const auto clamp = [&](std::optional<int64_t> bound, int64_t otherwise) {
    if (!bound.has_value()) return otherwise;
    const int64_t from_start = *bound < 0 ? std::max(*bound, -size - 1) + size : *bound;
    return std::clamp(from_start, least, most);
  };
  const int64_t first = clamp(start, step < 0 ? most : least);
  const int64_t end = clamp(stop, step < 0 ? least : most);
  const int64_t stride = std::clamp(step, -size - 1, size + 1);
  std::vector<size_t> picked;
  for (int64_t i = first; stride < 0 ? i > end : i < end; i += stride) {
    picked.push_back(static_cast<size_t>(i));
  }
  return picked;
}

// Of valid text.
std::vector<absl::string_view> Characters(absl::string_view text) {
  std::vector<absl::string_view> characters;
  while (!text.empty()) {
    const size_t size = FirstCodePoint(text).size;
    characters.push_back(text.substr(0, size));
    text.remove_prefix(size);
  }
  return characters;
}

absl::StatusOr<Value> SliceOfString(absl::string_view text, const std::vector<size_t>& picked,
                                    const std::vector<absl::string_view>& characters) {
  std::string out;
  out.reserve(std::min(text.size(), picked.size() * 4));
  for (const size_t i : picked) absl::StrAppend(&out, characters[i]);
  return Value::String(std::move(out));
}

}  // namespace

absl::StatusOr<Value> Attribute(const Value& object, absl::string_view name) {
  switch (object.kind()) {
    case Kind::kMap: {
      SF_ASSIGN_OR_RETURN(Value method, MethodValue(object, name));
      if (!method.is(Kind::kUndefined)) return method;
      const Value* const item = object.as_map().Find(name);
      return item == nullptr ? Value() : *item;
    }
    case Kind::kNamespace: {
      const auto& members = object.as_namespace().members;
      const auto found = members.find(name);
      return found == members.end() ? Value() : found->second;
    }
    case Kind::kLoop:
      return LoopAttribute(object.as_loop(), name);
    case Kind::kUndefined:
    case Kind::kCallable:
      return NoItems(object);
    default:
      return MethodValue(object, name);
  }
}

absl::StatusOr<Value> Item(const Value& object, const Value& key, Budget& budget) {
  if (key.is(Kind::kString)) {
    if (object.is(Kind::kMap)) {
      const Value* const item = object.as_map().Find(key.as_string());
      if (item != nullptr) return *item;
    }
    return Attribute(object, key.as_string());
  }
  if (object.is(Kind::kUndefined)) return NoItems(object);
  if (object.is_indexable() && key.is(Kind::kInt)) {
    const auto index = Index(key.as_int(), object.as_list().size());
    return index.has_value() ? object.as_list()[*index] : Value();
  }
  if (object.is(Kind::kString) && key.is(Kind::kInt)) {
    SF_RETURN_IF_ERROR(budget.ChargeBytes(object.as_string().size() * kBytesPerStep));
    const auto characters = Characters(object.as_string());
    const auto index = Index(key.as_int(), characters.size());
    return index.has_value() ? Value::String(characters[*index]) : Value();
  }
  if (object.is(Kind::kMap) && !key.is(Kind::kList) && !key.is(Kind::kMap)) return Value();
  if (object.is(Kind::kNone) || object.is_number()) return Value();
  return absl::UnimplementedError(
      absl::StrCat("an item of ", object.TypeName(), " by ", key.TypeName(), " is not supported"));
}

absl::StatusOr<Value> Slice(const Value& object, const SliceBounds& bounds, Budget& budget) {
  if (!object.is_indexable() && !object.is(Kind::kString)) {
    return absl::InvalidArgumentError(absl::StrCat("a slice of ", object.TypeName()));
  }
  SF_ASSIGN_OR_RETURN(const auto start, Bound(bounds.start));
  SF_ASSIGN_OR_RETURN(const auto stop, Bound(bounds.stop));
  SF_ASSIGN_OR_RETURN(const auto step, Bound(bounds.step));
  if (step == 0) return absl::InvalidArgumentError("a slice with step 0");
  if (object.is(Kind::kString)) {
    SF_RETURN_IF_ERROR(budget.Charge(object.as_string().size()));
    const auto characters = Characters(object.as_string());
    const auto size = static_cast<int64_t>(characters.size());
    return SliceOfString(object.as_string(), Picked(start, stop, step.value_or(1), size),
                         characters);
  }
  const std::vector<Value>& items = object.as_list();
  SF_RETURN_IF_ERROR(budget.Charge(items.size()));
  std::vector<Value> out;
  for (const size_t i : Picked(start, stop, step.value_or(1), static_cast<int64_t>(items.size()))) {
    out.push_back(items[i]);
  }
  return Value::OfList(std::move(out), object.shape());
}

absl::StatusOr<std::vector<Value>> Items(const Value& value, Budget& budget) {
  std::vector<Value> items;
  switch (value.kind()) {
    case Kind::kUndefined:
      return items;
    case Kind::kList:
      SF_RETURN_IF_ERROR(budget.Charge(value.as_list().size()));
      return value.as_list();
    case Kind::kMap:
      SF_RETURN_IF_ERROR(budget.Charge(value.as_map().entries().size()));
      for (const auto& [key, item] : value.as_map().entries()) items.push_back(Value::String(key));
      return items;
    case Kind::kString:
      SF_RETURN_IF_ERROR(budget.Charge(value.as_string().size()));
      for (const absl::string_view character : Characters(value.as_string())) {
        items.push_back(Value::String(character));
      }
      return items;
    default:
      break;
  }
  return absl::InvalidArgumentError(absl::StrCat("iteration over ", value.TypeName()));
}

}  // namespace spearfish::chat
