#include "common/chat/value.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace spearfish::chat {
namespace {

constexpr size_t kMaxUnindexed = 8;

absl::Status CheckDepth(uint32_t depth) {
  if (depth <= kMaxValueDepth) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("a value is nested deeper than ", kMaxValueDepth, " levels"));
}

bool EqualNumbers(const Value& a, const Value& b) {
  const bool a_float = a.is(Value::Kind::kFloat);
  const bool b_float = b.is(Value::Kind::kFloat);
  if (!a_float && !b_float) return a.AsInteger() == b.AsInteger();
  const double left = a_float ? a.as_float() : static_cast<double>(a.AsInteger());
  const double right = b_float ? b.as_float() : static_cast<double>(b.AsInteger());
  return left == right;
}

absl::string_view ShapeName(Value::Shape shape) {
  switch (shape) {
    case Value::Shape::kList:
      return "a list";
    case Value::Shape::kTuple:
      return "a tuple";
    case Value::Shape::kView:
      return "a view of a mapping";
    case Value::Shape::kIterator:
      break;
  }
  return "an iterator (add `| list`)";
}

absl::StatusOr<bool> EqualLists(const Value& a, const Value& b, Budget& budget) {
  const std::vector<Value>& left = a.as_list();
  const std::vector<Value>& right = b.as_list();
  if (!a.is_indexable() || !b.is_indexable()) {
    return absl::UnimplementedError("comparing iterators or views is not supported");
  }
  if (a.shape() != b.shape() || left.size() != right.size()) return false;
  for (size_t i = 0; i < left.size(); ++i) {
    SF_ASSIGN_OR_RETURN(const bool equal, Equal(left[i], right[i], budget));
    if (!equal) return false;
  }
  return true;
}

absl::StatusOr<bool> EqualMaps(const Map& a, const Map& b, Budget& budget) {
  if (a.entries().size() != b.entries().size()) return false;
  for (const auto& [key, value] : a.entries()) {
    const Value* const other = b.Find(key);
    if (other == nullptr) return false;
    SF_ASSIGN_OR_RETURN(const bool equal, Equal(value, *other, budget));
    if (!equal) return false;
  }
  return true;
}

}  // namespace

Value Value::String(std::string text) {
  return Value(Data(std::in_place_index<5>,
                    std::make_shared<const Text>(Text{.text = std::move(text), .safe = false})));
}

Value Value::SafeString(std::string text) {
  return Value(Data(std::in_place_index<5>,
                    std::make_shared<const Text>(Text{.text = std::move(text), .safe = true})));
}

absl::StatusOr<Value> Value::OfList(std::vector<Value> items, Shape shape) {
  uint32_t depth = 1;
  for (const Value& item : items) depth = std::max(depth, item.depth() + 1);
  SF_RETURN_IF_ERROR(CheckDepth(depth));
  auto list =
      std::make_shared<const List>(List{.items = std::move(items), .shape = shape, .depth = depth});
  return Value(Data(std::in_place_index<6>, std::move(list)));
}

absl::StatusOr<Value> Value::OfMap(Map map) {
  SF_RETURN_IF_ERROR(CheckDepth(map.depth()));
  return Value(Data(std::in_place_index<7>, std::make_shared<const Map>(std::move(map))));
}

bool Value::is_number() const { return is(Kind::kBool) || is(Kind::kInt) || is(Kind::kFloat); }

bool Value::is_data() const {
  if (is(Kind::kList)) return shape() != Shape::kIterator;
  return kind() <= Kind::kNamespace;
}

bool Value::is_safe() const { return is(Kind::kString) && std::get<5>(data_)->safe; }

Value::Shape Value::shape() const { return std::get<6>(data_)->shape; }

absl::string_view Value::as_string() const { return std::get<5>(data_)->text; }

const std::vector<Value>& Value::as_list() const { return std::get<6>(data_)->items; }

bool Value::IsTrue() const {
  switch (kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
      return as_bool();
    case Kind::kInt:
      return as_int() != 0;
    case Kind::kFloat:
      return as_float() != 0;
    case Kind::kString:
      return !as_string().empty();
    case Kind::kList:
      return shape() == Shape::kIterator || !as_list().empty();
    case Kind::kMap:
      return !as_map().entries().empty();
    case Kind::kNamespace:
    case Kind::kLoop:
    case Kind::kCallable:
      break;
  }
  return true;
}

absl::string_view Value::TypeName() const {
  switch (kind()) {
    case Kind::kUndefined:
      return "an undefined value";
    case Kind::kNone:
      return "none";
    case Kind::kBool:
      return "a boolean";
    case Kind::kInt:
      return "an integer";
    case Kind::kFloat:
      return "a float";
    case Kind::kString:
      return "a string";
    case Kind::kList:
      return ShapeName(shape());
    case Kind::kMap:
      return "a mapping";
    case Kind::kNamespace:
      return "a namespace";
    case Kind::kLoop:
      return "the loop";
    case Kind::kCallable:
      break;
  }
  return "a function";
}

uint32_t Value::depth() const {
  if (is(Kind::kList)) return std::get<6>(data_)->depth;
  return is(Kind::kMap) ? as_map().depth() : 0;
}

const Value* Map::Find(absl::string_view key) const {
  if (!index_.empty()) {
    const auto found = index_.find(key);
    return found == index_.end() ? nullptr : &entries_[found->second].second;
  }
  for (const auto& [name, value] : entries_) {
    if (name == key) return &value;
  }
  return nullptr;
}

void Map::Insert(std::string key, Value value) {
  depth_ = std::max(depth_, value.depth() + 1);
  if (const Value* const there = Find(key); there != nullptr) {
    *const_cast<Value*>(there) = std::move(value);  // found in this map, which is not const here
    return;
  }
  entries_.emplace_back(std::move(key), std::move(value));
  if (entries_.size() == kMaxUnindexed + 1) {
    for (size_t i = 0; i < entries_.size(); ++i) index_[entries_[i].first] = i;
  } else if (!index_.empty()) {
    index_[entries_.back().first] = entries_.size() - 1;
  }
}

absl::StatusOr<bool> Equal(const Value& a, const Value& b, Budget& budget) {
  SF_RETURN_IF_ERROR(budget.Charge(1));
  if (a.is_number() && b.is_number()) return EqualNumbers(a, b);
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Value::Kind::kUndefined:
    case Value::Kind::kNone:
      return true;
    case Value::Kind::kString:
      SF_RETURN_IF_ERROR(budget.ChargeBytes(std::min(a.as_string().size(), b.as_string().size())));
      return a.as_string() == b.as_string();
    case Value::Kind::kList:
      return EqualLists(a, b, budget);
    case Value::Kind::kMap:
      return EqualMaps(a.as_map(), b.as_map(), budget);
    default:
      break;
  }
  return absl::UnimplementedError(
      absl::StrCat("comparing ", a.TypeName(), " with ", b.TypeName(), " is not supported"));
}

}  // namespace spearfish::chat
