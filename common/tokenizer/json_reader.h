// Checked access to untrusted JSON: bounded depth and size, and errors that name the field.
#ifndef COMMON_TOKENIZER_JSON_READER_H_
#define COMMON_TOKENIZER_JSON_READER_H_

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/ids.h"

namespace spearfish {

// Parses `text`. InvalidArgument for malformed JSON (with the position), for more than `most_bytes`
// and for arrays and objects nested deeper than `most_depth`, before anything recurses into them.
absl::StatusOr<nlohmann::json> ParseBoundedJson(absl::string_view text, uint64_t most_bytes,
                                                int most_depth);

// One object of the document. The document must outlive it.
class JsonObject {
 public:
  // `path` is where the object stands, for messages ("model.merges[3]"). InvalidArgument if `value`
  // is not an object.
  static absl::StatusOr<JsonObject> Create(const nlohmann::json& value, std::string path);

  // The member, or nullptr if it is absent or null.
  const nlohmann::json* Find(const char* name) const;

  // The member of that type (text lives in the document); InvalidArgument if it is of another type
  // or, where there is no `fallback`, absent or null.
  absl::StatusOr<absl::string_view> String(const char* name) const;
  absl::StatusOr<bool> Bool(const char* name, bool fallback) const;
  absl::StatusOr<JsonObject> Object(const char* name) const;
  absl::StatusOr<const nlohmann::json*> Array(const char* name) const;

  std::string PathOf(absl::string_view name) const;

 private:
  JsonObject(const nlohmann::json& value, std::string path);

  const nlohmann::json* value_;
  std::string path_;
};

// "wrong type in tokenizer.json: `path` is a number, expected `expected`".
absl::Status WrongJsonType(absl::string_view path, const nlohmann::json& value,
                           absl::string_view expected);

// The id of token `text`: an unsigned integer that fits. InvalidArgument otherwise.
absl::StatusOr<TokenId> ReadId(const nlohmann::json& value, absl::string_view path,
                               absl::string_view text);

}  // namespace spearfish

#endif  // COMMON_TOKENIZER_JSON_READER_H_
