#include "common/config/json_fields.h"

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"

namespace spearfish {
namespace {

using Json = nlohmann::json;

// A value short enough for a message.
std::string Shown(const Json& value) {
  constexpr size_t kMaxShown = 80;
  if (value.is_structured() && value.size() > 8) {
    return absl::StrCat("an ", value.type_name(), " of ", value.size(), " entries");
  }
  const std::string text = value.dump(-1, ' ', /*ensure_ascii=*/true);
  return text.size() <= kMaxShown ? text : text.substr(0, kMaxShown) + "...";
}

absl::Status Refused(absl::string_view file, const char* key, const Json& value,
                     absl::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat(file, ": ", key, " is ", Shown(value), "; expected ", expected));
}

}  // namespace

const Json* JsonFields::Get(const char* key) const {
  const auto found = object_.find(key);
  if (found == object_.end() || found->is_null()) return nullptr;
  return &*found;
}

absl::Status JsonFields::Refuse(const char* key, absl::string_view expected) const {
  const Json* value = Get(key);
  if (value != nullptr) return Refused(file_, key, *value, expected);
  return absl::InvalidArgumentError(
      absl::StrCat(file_, ": ", key, " is missing; expected ", expected));
}

absl::StatusOr<uint32_t> JsonFields::ToUint(const char* key, const Json& value,
                                            UintRange range) const {
  if (value.is_number_unsigned()) {
    const auto number = value.get<uint64_t>();
    if (range.min <= number && number <= range.max) return static_cast<uint32_t>(number);
  }
  return Refused(file_, key, value, absl::StrCat("an integer from ", range.min, " to ", range.max));
}

absl::StatusOr<uint32_t> JsonFields::Uint(const char* key, UintRange range) const {
  const Json* value = Get(key);
  if (value != nullptr) return ToUint(key, *value, range);
  return Refuse(key, absl::StrCat("an integer from ", range.min, " to ", range.max));
}

absl::StatusOr<uint32_t> JsonFields::UintOr(const char* key, uint32_t fallback,
                                            UintRange range) const {
  return Has(key) ? Uint(key, range) : fallback;
}

absl::StatusOr<float> JsonFields::FloatOr(const char* key, float fallback, FloatRange range) const {
  const Json* value = Get(key);
  if (value == nullptr) return fallback;
  if (value->is_number()) {
    const auto number = value->get<double>();
    if (range.min <= number && number <= range.max) return static_cast<float>(number);
  }
  return Refused(file_, key, *value, absl::StrCat("a number from ", range.min, " to ", range.max));
}

absl::StatusOr<bool> JsonFields::BoolOr(const char* key, bool fallback) const {
  const Json* value = Get(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) return Refused(file_, key, *value, "true or false");
  return value->get<bool>();
}

absl::StatusOr<std::string> JsonFields::StringOr(const char* key,
                                                 absl::string_view fallback) const {
  const Json* value = Get(key);
  if (value == nullptr) return std::string(fallback);
  if (!value->is_string()) return Refused(file_, key, *value, "a string");
  return value->get<std::string>();
}

absl::StatusOr<std::vector<uint32_t>> JsonFields::UintList(const char* key, UintRange range) const {
  const Json* value = Get(key);
  std::vector<uint32_t> list;
  if (value == nullptr) return list;
  if (!value->is_array()) {
    SF_ASSIGN_OR_RETURN(const uint32_t single, ToUint(key, *value, range));
    list.push_back(single);
    return list;
  }
  for (const Json& entry : *value) {
    SF_ASSIGN_OR_RETURN(const uint32_t number, ToUint(key, entry, range));
    list.push_back(number);
  }
  return list;
}

}  // namespace spearfish
