// JSON text from outside (configs, safetensors headers) as a document that is safe to walk.
#ifndef COMMON_CONFIG_JSON_DOCUMENT_H_
#define COMMON_CONFIG_JSON_DOCUMENT_H_

#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spearfish {

inline constexpr int kMaxJsonDepth = 64;

// InvalidArgument on malformed text (with the byte where it breaks), on nesting deeper than
// kMaxJsonDepth, and on a key given twice in one object (naming it), because readers would disagree
// about which one counts. `what` names the text in the message ("config.json").
absl::StatusOr<nlohmann::json> ParseJson(absl::string_view text, absl::string_view what);

}  // namespace spearfish

#endif  // COMMON_CONFIG_JSON_DOCUMENT_H_
