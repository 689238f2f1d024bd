// How filters, tests, methods and functions take their arguments.
#ifndef COMMON_CHAT_SIGNATURE_H_
#define COMMON_CHAT_SIGNATURE_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/chat/value.h"

namespace spearfish::chat {

// As written at a call.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> keyword;
};

// Parameters in order; the first `num_required` have no default. One whose name starts with "/"
// can't be given by name.
struct Signature {
  std::vector<absl::string_view> parameters;
  size_t num_required = 0;
};

// By parameter; null: not given.
class BoundArguments {
 public:
  explicit BoundArguments(std::vector<const Value*> values) : values_(std::move(values)) {}
  const Value* operator[](size_t parameter) const { return values_[parameter]; }

 private:
  std::vector<const Value*> values_;
};

// InvalidArgument for too many, too few, unknown or repeated ones. The result refers to
// `arguments`.
absl::StatusOr<BoundArguments> Bind(const Signature& signature, const Arguments& arguments);

// The same from counts and names alone, while a template is compiled.
absl::Status CheckCall(const Signature& signature, size_t num_positional,
                       const std::vector<std::string>& keywords);

}  // namespace spearfish::chat

#endif  // COMMON_CHAT_SIGNATURE_H_
