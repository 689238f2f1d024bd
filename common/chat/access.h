// Attributes, items and slices of values.
#ifndef COMMON_CHAT_ACCESS_H_
#define COMMON_CHAT_ACCESS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/chat/budget.h"
#include "common/chat/value.h"

namespace spearfish::chat {

// object.name as Jinja reads it: a method if the type has one of that name, else the item. What is
// not there is undefined; of an undefined value it is InvalidArgument.
absl::StatusOr<Value> Attribute(const Value& object, absl::string_view name);

// object[key]: the item, else the method.
absl::StatusOr<Value> Item(const Value& object, const Value& key, Budget& budget);

// object[start:stop:step]; undefined: left out.
struct SliceBounds {
  Value start;
  Value stop;
  Value step;
};
absl::StatusOr<Value> Slice(const Value& object, const SliceBounds& bounds, Budget& budget);

// What a for or a filter sees when it iterates: items of a list, keys of a mapping, characters of a
// string, nothing of an undefined value.
absl::StatusOr<std::vector<Value>> Items(const Value& value, Budget& budget);

}  // namespace spearfish::chat

#endif  // COMMON_CHAT_ACCESS_H_
