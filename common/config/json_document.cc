#include "common/config/json_document.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"

namespace spearfish {
namespace {

using Json = nlohmann::json;

// Walks the text's events before a document is built from it: the library bounds neither depth nor
// repeated keys. One pass, one thread.
class StructureCheck final : public Json::json_sax_t {
 public:
  explicit StructureCheck(absl::string_view what) : what_(what) {}

  absl::Status status() const { return status_; }

  bool null() override { return true; }
  bool boolean(bool /*value*/) override { return true; }
  bool number_integer(number_integer_t /*value*/) override { return true; }
  bool number_unsigned(number_unsigned_t /*value*/) override { return true; }
  bool number_float(number_float_t /*value*/, const string_t& /*text*/) override { return true; }
  bool string(string_t& /*value*/) override { return true; }
  bool binary(binary_t& /*value*/) override { return true; }

  bool start_object(std::size_t /*elements*/) override { return Enter(); }
  bool end_object() override { return Leave(); }
  bool start_array(std::size_t /*elements*/) override { return Enter(); }
  bool end_array() override { return Leave(); }

  bool key(string_t& value) override {
    if (keys_.back().insert(value).second) return true;
    return Fail(absl::StrCat("key given twice in ", what_, ": '", value, "'"));
  }

  bool parse_error(std::size_t position, const std::string& /*last_token*/,
                   const Json::exception& /*error*/) override {
    return Fail(absl::StrCat("malformed JSON in ", what_, ": at byte ", position));
  }

 private:
  bool Enter() {
    if (keys_.size() >= kMaxJsonDepth) {
      return Fail(absl::StrCat("JSON nested too deeply in ", what_, ": more than ", kMaxJsonDepth,
                               " levels"));
    }
    keys_.emplace_back();
    return true;
  }

  bool Leave() {
    keys_.pop_back();
    return true;
  }

  bool Fail(const std::string& message) {
    status_ = absl::InvalidArgumentError(message);
    return false;
  }

  const std::string what_;
  std::vector<absl::flat_hash_set<std::string>> keys_;  // of every open object; arrays' stay empty
  absl::Status status_;
};

}  // namespace

absl::StatusOr<Json> ParseJson(absl::string_view text, absl::string_view what) {
  StructureCheck check(what);
  if (!Json::sax_parse(text.begin(), text.end(), &check)) return check.status();
  Json document = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded()) {
    return absl::InvalidArgumentError(absl::StrCat("malformed JSON in ", what));
  }
  return document;
}

}  // namespace spearfish
