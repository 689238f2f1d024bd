// json.dumps as transformers' tojson filter calls it, and JSON as values.
#ifndef COMMON_CHAT_TO_JSON_H_
#define COMMON_CHAT_TO_JSON_H_

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/chat/budget.h"
#include "common/chat/value.h"

namespace spearfish::chat {

struct JsonFormat {
  std::optional<std::string> indent;  // of one level; none: everything on one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool ensure_ascii = false;
  bool sort_keys = false;
};

// Appends `value` as JSON. InvalidArgument for what has no JSON (undefined values, functions).
absl::Status AppendJson(const Value& value, const JsonFormat& format, Budget& budget,
                        std::string& out);

// InvalidArgument: text that is not UTF-8, an integer beyond 64 bits, nesting beyond
// kMaxValueDepth.
absl::StatusOr<Value> FromJson(const nlohmann::ordered_json& json, Budget& budget);

}  // namespace spearfish::chat

#endif  // COMMON_CHAT_TO_JSON_H_
