// Checked access to JSON from outside: bounded work, and errors that name the field.
#ifndef SERVER_HTTP_JSON_FIELDS_H_
#define SERVER_HTTP_JSON_FIELDS_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spearfish::server {

// Keeps the order of members: templates print tools as they were written.
using Json = nlohmann::ordered_json;

// A whole body; InvalidArgument as OrderedJsonParser says.
absl::StatusOr<Json> ParseBody(absl::string_view body);

// One line, valid UTF-8 whatever the strings hold.
std::string JsonText(const Json& json);

// InvalidArgument "`param` what", with the payload that ParamOf finds.
absl::Status InvalidField(absl::string_view param, absl::string_view what);
// The name of the field that is to blame; empty where none is.
std::string ParamOf(const absl::Status& status);

// One object. The document must outlive it. A null member counts as absent. Everything that is of
// another type or out of range is InvalidArgument.
class JsonFields {
 public:
  // `path` is where the object stands, for messages ("messages[0]"); empty for the document.
  static absl::StatusOr<JsonFields> Of(const Json& value, std::string path);

  const Json* Find(const char* name) const;
  bool Has(const char* name) const { return Find(name) != nullptr; }

  absl::StatusOr<std::optional<float>> Number(const char* name) const;
  absl::StatusOr<std::optional<uint32_t>> Count(const char* name) const;
  absl::StatusOr<bool> Flag(const char* name) const;  // false when absent
  absl::StatusOr<std::optional<std::string>> Text(const char* name) const;
  // Null when absent.
  absl::StatusOr<const Json*> Array(const char* name) const;
  absl::StatusOr<const Json*> Object(const char* name) const;

  std::string PathOf(absl::string_view name) const;

 private:
  JsonFields(const Json& object, std::string path) : object_(&object), path_(std::move(path)) {}

  const Json* object_;
  std::string path_;
};

// "`param` is a number, expected `expected`".
absl::Status WrongType(absl::string_view param, const Json& value, absl::string_view expected);

}  // namespace spearfish::server

#endif  // SERVER_HTTP_JSON_FIELDS_H_
