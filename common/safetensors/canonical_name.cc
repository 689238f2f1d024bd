#include "common/safetensors/canonical_name.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace spearfish {

std::string CanonicalTensorName(absl::string_view name) {
  absl::string_view rest = name;
  if (!absl::ConsumePrefix(&rest, "model.language_model.") &&
      !absl::ConsumePrefix(&rest, "language_model.")) {
    return std::string(name);
  }
  if (absl::StartsWith(rest, "lm_head.") || absl::StartsWith(rest, "model.")) {
    return std::string(rest);
  }
  return absl::StrCat("model.", rest);
}

}  // namespace spearfish
