// Typed, range-checked reading of the keys of one JSON object.
#ifndef COMMON_CONFIG_JSON_FIELDS_H_
#define COMMON_CONFIG_JSON_FIELDS_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spearfish {

struct UintRange {
  uint32_t min = 0;
  uint32_t max = UINT32_MAX;
};

struct FloatRange {
  double min = 0.0;
  double max = 0.0;
};

// A view: the object must outlive it. Keys with a null value count as absent, as transformers
// writes them. Errors are InvalidArgument with the file, the key, the value and what is expected.
class JsonFields {
 public:
  // `file` names the text in messages ("config.json").
  JsonFields(const nlohmann::json& object, absl::string_view file) : object_(object), file_(file) {}

  bool Has(const char* key) const { return Get(key) != nullptr; }
  // Null when the key is absent.
  const nlohmann::json* Get(const char* key) const;

  absl::StatusOr<uint32_t> Uint(const char* key, UintRange range) const;
  absl::StatusOr<uint32_t> UintOr(const char* key, uint32_t fallback, UintRange range) const;
  absl::StatusOr<float> FloatOr(const char* key, float fallback, FloatRange range) const;
  absl::StatusOr<bool> BoolOr(const char* key, bool fallback) const;
  absl::StatusOr<std::string> StringOr(const char* key, absl::string_view fallback) const;
  // Absent: empty. A single number counts as a list of one.
  absl::StatusOr<std::vector<uint32_t>> UintList(const char* key, UintRange range) const;

  // An error about `key`: "config.json: hidden_size is 0; expected ...".
  absl::Status Refuse(const char* key, absl::string_view expected) const;

 private:
  absl::StatusOr<uint32_t> ToUint(const char* key, const nlohmann::json& value,
                                  UintRange range) const;

  const nlohmann::json& object_;
  const absl::string_view file_;
};

}  // namespace spearfish

#endif  // COMMON_CONFIG_JSON_FIELDS_H_
