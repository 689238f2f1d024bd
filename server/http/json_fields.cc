#include "server/http/json_fields.h"

#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "common/chat/ordered_json.h"

namespace spearfish::server {
namespace {

constexpr char kParamPayload[] = "spearfish.v1/param";

absl::string_view TypeName(const Json& value) {
  return value.is_array() ? "an array" : value.is_object() ? "an object" : value.type_name();
}

}  // namespace

absl::StatusOr<Json> ParseBody(absl::string_view body) {
  absl::StatusOr<Json> json = OrderedJsonParser().Parse(body);
  if (json.ok()) return json;
  return absl::InvalidArgumentError(absl::StrCat("the body ", json.status().message()));
}

std::string JsonText(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

absl::Status InvalidField(absl::string_view param, absl::string_view what) {
  absl::Status status = absl::InvalidArgumentError(absl::StrCat("`", param, "` ", what));
  status.SetPayload(kParamPayload, absl::Cord(param));
  return status;
}

std::string ParamOf(const absl::Status& status) {
  const absl::optional<absl::Cord> param = status.GetPayload(kParamPayload);
  return param ? std::string(*param) : std::string();
}

absl::Status WrongType(absl::string_view param, const Json& value, absl::string_view expected) {
  return InvalidField(param, absl::StrCat("is ", TypeName(value), ", expected ", expected));
}

absl::StatusOr<JsonFields> JsonFields::Of(const Json& value, std::string path) {
  if (!value.is_object()) {
    return WrongType(path.empty() ? "body" : absl::string_view(path), value, "an object");
  }
  return JsonFields(value, std::move(path));
}

const Json* JsonFields::Find(const char* name) const {
  const auto member = object_->find(name);
  return member == object_->end() || member->is_null() ? nullptr : &*member;
}

absl::StatusOr<std::optional<float>> JsonFields::Number(const char* name) const {
  const Json* const value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) return WrongType(PathOf(name), *value, "a number");
  return static_cast<float>(value->get<double>());
}

absl::StatusOr<std::optional<uint32_t>> JsonFields::Count(const char* name) const {
  const Json* const value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number_integer()) return WrongType(PathOf(name), *value, "an integer");
  if (!value->is_number_unsigned() || value->get<uint64_t>() > UINT32_MAX) {
    return InvalidField(PathOf(name),
                        absl::StrCat(value->dump(), " is outside [0, ", UINT32_MAX, "]"));
  }
  return value->get<uint32_t>();
}

absl::StatusOr<bool> JsonFields::Flag(const char* name) const {
  const Json* const value = Find(name);
  if (value == nullptr) return false;
  if (!value->is_boolean()) return WrongType(PathOf(name), *value, "a boolean");
  return value->get<bool>();
}

absl::StatusOr<std::optional<std::string>> JsonFields::Text(const char* name) const {
  const Json* const value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) return WrongType(PathOf(name), *value, "a string");
  return value->get_ref<const std::string&>();
}

absl::StatusOr<const Json*> JsonFields::Array(const char* name) const {
  const Json* const value = Find(name);
  if (value != nullptr && !value->is_array()) return WrongType(PathOf(name), *value, "an array");
  return value;
}

absl::StatusOr<const Json*> JsonFields::Object(const char* name) const {
  const Json* const value = Find(name);
  if (value != nullptr && !value->is_object()) return WrongType(PathOf(name), *value, "an object");
  return value;
}

std::string JsonFields::PathOf(absl::string_view name) const {
  return path_.empty() ? std::string(name) : absl::StrCat(path_, ".", name);
}

}  // namespace spearfish::server
