#include "server/http/json_fields.h"

#include <utility>
#include <vector>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace spearfish::server {
namespace {

constexpr char kParamPayload[] = "spearfish.v1/param";
constexpr size_t kMostDepth = 64;
// An ordered object looks every new member up among those before it: their squares add up.
constexpr uint64_t kMostLookups = 20'000'000;

// What parsing will cost, before anything is parsed; of malformed text whatever comes out.
class JsonScan {
 public:
  explicit JsonScan(absl::string_view text) {
    bool in_string = false;
    for (size_t i = 0; i < text.size() && ok(); ++i) {
      const char byte = text[i];
      if (in_string) {
        if (byte == '\\') ++i;
        in_string = byte != '"';
      } else if (byte == '"') {
        in_string = true;
      } else {
        Structure(byte);
      }
    }
  }

  bool too_deep() const { return members_.size() > kMostDepth; }
  bool too_wide() const { return lookups_ > kMostLookups; }
  bool ok() const { return !too_deep() && !too_wide(); }

 private:
  void Structure(char byte) {
    if (byte == '[' || byte == '{') {
      members_.push_back(0);
    } else if (members_.empty()) {
      return;
    } else if (byte == ']' || byte == '}') {
      members_.pop_back();
    } else if (byte == ':') {
      lookups_ += ++members_.back();
    }
  }

  std::vector<uint64_t> members_;  // of every open object
  uint64_t lookups_ = 0;
};

absl::string_view TypeName(const Json& value) {
  return value.is_array() ? "an array" : value.is_object() ? "an object" : value.type_name();
}

}  // namespace

absl::StatusOr<Json> ParseJson(absl::string_view text) {
  const JsonScan scan(text);
  if (scan.too_deep()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the JSON is nested too deeply: at most ", kMostDepth, " levels"));
  }
  if (scan.too_wide()) {
    return absl::InvalidArgumentError("the JSON has objects with too many members");
  }
  try {
    return Json::parse(text.begin(), text.end());
  } catch (const nlohmann::json::parse_error& error) {
    return absl::InvalidArgumentError(
        absl::StrCat("the body is not JSON in UTF-8: malformed at byte ", error.byte));
  } catch (const nlohmann::json::exception&) {
    return absl::InvalidArgumentError("the JSON holds a number that no double can hold");
  }
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
