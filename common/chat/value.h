// What a template computes with: Python's values as far as chat templates see them.
#ifndef COMMON_CHAT_VALUE_H_
#define COMMON_CHAT_VALUE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/chat/budget.h"

namespace spearfish::chat {

// Lists in lists in maps at most: what walks values recurses.
inline constexpr uint32_t kMaxValueDepth = 100;

struct List;
struct Text;
class Map;
struct Loop;
struct Namespace;
struct Macro;

// Immutable but for what a namespace holds; copying is cheap, contents are shared. A shared_ptr
// because values are shared freely between variables, lists and a compiled template's literals, and
// no cycle can form: namespaces are owned by the rendering, not by values.
class Value {
 public:
  // What Python has of lists. Views are those of dict.items(); an iterator is what filters such as
  // map give: it can be walked once, so it is not kept in variables.
  enum class Shape : uint8_t { kList, kTuple, kView, kIterator };

  // In the order of the variant.
  enum class Kind : uint8_t {
    kUndefined,
    kNone,
    kBool,
    kInt,
    kFloat,
    kString,
    kList,
    kMap,
    kNamespace,
    kLoop,
    kCallable,
  };

  Value() = default;  // undefined
  static Value None() { return Value(Data(std::in_place_index<1>)); }
  static Value Bool(bool value) { return Value(Data(std::in_place_index<2>, value)); }
  static Value Int(int64_t value) { return Value(Data(std::in_place_index<3>, value)); }
  static Value Float(double value) { return Value(Data(std::in_place_index<4>, value)); }
  static Value String(std::string text);
  static Value String(absl::string_view text) { return String(std::string(text)); }
  static Value OfNamespace(Namespace& space) { return Value(Data(std::in_place_index<8>, &space)); }
  static Value OfLoop(const Loop& loop) { return Value(Data(std::in_place_index<9>, &loop)); }
  static Value OfMacro(const Macro* macro) { return Value(Data(std::in_place_index<10>, macro)); }
  // A function or method that is named but not called: it is true and defined, and no more.
  static Value Callable() { return OfMacro(nullptr); }
  // What `| safe` gives: text that + would not leave as it is.
  static Value SafeString(std::string text);
  // InvalidArgument when nested deeper than kMaxValueDepth.
  static absl::StatusOr<Value> OfList(std::vector<Value> items, Shape shape = Shape::kList);
  static absl::StatusOr<Value> OfMap(Map map);

  Kind kind() const { return static_cast<Kind>(data_.index()); }
  bool is(Kind kind) const { return this->kind() == kind; }
  // Bool, int or float.
  bool is_number() const;
  // Text, numbers, lists and the like: what may be kept in variables.
  bool is_data() const;
  bool is_safe() const;
  // Of a list.
  Shape shape() const;
  bool is_indexable() const { return is(Kind::kList) && shape() <= Shape::kTuple; }

  // Each only on its own kind.
  bool as_bool() const { return std::get<2>(data_); }
  int64_t as_int() const { return std::get<3>(data_); }
  double as_float() const { return std::get<4>(data_); }
  absl::string_view as_string() const;
  const std::vector<Value>& as_list() const;
  const Map& as_map() const { return *std::get<7>(data_); }
  Namespace& as_namespace() const { return *std::get<8>(data_); }
  const Loop& as_loop() const { return *std::get<9>(data_); }
  const Macro* as_macro() const { return std::get<10>(data_); }  // null: not a macro

  // A bool or int as a number.
  int64_t AsInteger() const { return is(Kind::kBool) ? (as_bool() ? 1 : 0) : as_int(); }

  // Python's bool(value).
  bool IsTrue() const;
  // Python's name for the type, for messages.
  absl::string_view TypeName() const;
  uint32_t depth() const;

 private:
  using Data = std::variant<std::monostate, std::nullptr_t, bool, int64_t, double,
                            std::shared_ptr<const Text>, std::shared_ptr<const List>,
                            std::shared_ptr<const Map>, Namespace*, const Loop*, const Macro*>;
  explicit Value(Data data) : data_(std::move(data)) {}

  Data data_;
};

struct Text {
  std::string text;
  bool safe = false;
};

struct List {
  std::vector<Value> items;
  Value::Shape shape = Value::Shape::kList;
  uint32_t depth = 1;
};

// A dict with text keys, in the order of insertion.
class Map {
 public:
  const std::vector<std::pair<std::string, Value>>& entries() const { return entries_; }
  // Null where there is none.
  const Value* Find(absl::string_view key) const;
  // A key that is there keeps its place and takes the new value.
  void Insert(std::string key, Value value);
  uint32_t depth() const { return depth_; }

 private:
  std::vector<std::pair<std::string, Value>> entries_;
  absl::flat_hash_map<std::string, size_t> index_;  // once there are more than a few
  uint32_t depth_ = 1;
};

// namespace(...): the one thing that a template can change.
struct Namespace {
  absl::flat_hash_map<std::string, Value> members;
};

// `loop` inside a for. `items` outlives it.
struct Loop {
  const std::vector<Value>& items;
  size_t index = 0;
};

// Python's ==. Charges for every element: shared contents make small values large to walk.
absl::StatusOr<bool> Equal(const Value& a, const Value& b, Budget& budget);

}  // namespace spearfish::chat

#endif  // COMMON_CHAT_VALUE_H_
