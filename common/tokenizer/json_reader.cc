#include "common/tokenizer/json_reader.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/status_macros.h"
#include "common/tokenizer/quote.h"

namespace spearfish {
namespace {

// The deepest nesting of brackets outside strings; garbage in, any number out.
int NestingDepth(absl::string_view text) {
  int depth = 0;
  int deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char byte = text[i];
    if (in_string) {
      if (byte == '\\') ++i;
      in_string = byte != '"';
    } else if (byte == '"') {
      in_string = true;
    } else if (byte == '[' || byte == '{') {
      deepest = std::max(deepest, ++depth);
    } else if (byte == ']' || byte == '}') {
      --depth;
    }
  }
  return deepest;
}

absl::Status Missing(absl::string_view path) {
  return absl::InvalidArgumentError(
      absl::StrCat("missing field in tokenizer.json: ", path, "; download the file again"));
}

}  // namespace

absl::StatusOr<nlohmann::json> ParseBoundedJson(absl::string_view text, uint64_t most_bytes,
                                                int most_depth) {
  if (text.size() > most_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("tokenizer.json is too large: ", FormatBytes(text.size()), ", the limit is ",
                     FormatBytes(most_bytes), "; pass the tokenizer of a language model"));
  }
  if (NestingDepth(text) > most_depth) {
    return absl::InvalidArgumentError(
        absl::StrCat("tokenizer.json is nested too deeply: the limit is ", most_depth,
                     " levels; pass the tokenizer of a language model"));
  }
  try {
    return nlohmann::json::parse(text.begin(), text.end());
  } catch (const nlohmann::json::exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat("tokenizer.json is malformed: ", error.what(), "; download the file again"));
  }
}

JsonObject::JsonObject(const nlohmann::json& value, std::string path)
    : value_(&value), path_(std::move(path)) {}

absl::StatusOr<JsonObject> JsonObject::Create(const nlohmann::json& value, std::string path) {
  if (!value.is_object()) return WrongJsonType(path, value, "object");
  return JsonObject(value, std::move(path));
}

const nlohmann::json* JsonObject::Find(const char* name) const {
  const auto member = value_->find(name);
  return member == value_->end() || member->is_null() ? nullptr : &*member;
}

absl::StatusOr<absl::string_view> JsonObject::String(const char* name) const {
  const nlohmann::json* member = Find(name);
  if (member == nullptr) return Missing(PathOf(name));
  if (!member->is_string()) return WrongJsonType(PathOf(name), *member, "string");
  return absl::string_view(member->get_ref<const std::string&>());
}

absl::StatusOr<bool> JsonObject::Bool(const char* name, bool fallback) const {
  const nlohmann::json* member = Find(name);
  if (member == nullptr) return fallback;
  if (!member->is_boolean()) return WrongJsonType(PathOf(name), *member, "boolean");
  return member->get<bool>();
}

absl::StatusOr<JsonObject> JsonObject::Object(const char* name) const {
  const nlohmann::json* member = Find(name);
  if (member == nullptr) return Missing(PathOf(name));
  return Create(*member, PathOf(name));
}

absl::StatusOr<const nlohmann::json*> JsonObject::Array(const char* name) const {
  const nlohmann::json* member = Find(name);
  if (member == nullptr) return Missing(PathOf(name));
  if (!member->is_array()) return WrongJsonType(PathOf(name), *member, "array");
  return member;
}

std::string JsonObject::PathOf(absl::string_view name) const {
  return path_.empty() ? std::string(name.data(), name.size()) : absl::StrCat(path_, ".", name);
}

absl::Status WrongJsonType(absl::string_view path, const nlohmann::json& value,
                           absl::string_view expected) {
  return absl::InvalidArgumentError(absl::StrCat(
      "wrong type in tokenizer.json: ", path.empty() ? "the document" : path, " is of type ",
      value.type_name(), ", expected ", expected, "; download the file again"));
}

absl::StatusOr<TokenId> ReadId(const nlohmann::json& value, absl::string_view path,
                               absl::string_view text) {
  if (!value.is_number_unsigned() || value.get<uint64_t>() > UINT32_MAX) {
    return absl::InvalidArgumentError(
        absl::StrCat("token id is not an unsigned 32-bit integer: ", path, " has ", Quote(text),
                     " as ", Quote(value.dump()), "; download tokenizer.json again"));
  }
  return value.get<TokenId>();
}

}  // namespace spearfish
