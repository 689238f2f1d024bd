#include "common/chat/ordered_json.h"

#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace spearfish {
namespace {

using Json = nlohmann::ordered_json;

// What parsing will cost, before anything is parsed; of malformed text whatever comes out.
class JsonScan {
 public:
  JsonScan(absl::string_view text, uint64_t most_lookups) : most_lookups_(most_lookups) {
    bool in_string = false;
    for (size_t i = 0; i < text.size() && !too_deep() && !too_wide(); ++i) {
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

  bool too_deep() const { return members_.size() > OrderedJsonParser::kMostDepth; }
  bool too_wide() const { return lookups_ > most_lookups_; }
  uint64_t lookups() const { return lookups_; }

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

  const uint64_t most_lookups_;
  uint64_t lookups_ = 0;
  std::vector<uint64_t> members_;  // of every open object
};

}  // namespace

absl::StatusOr<Json> OrderedJsonParser::Parse(absl::string_view text) {
  const JsonScan scan(text, lookups_left_);
  if (scan.too_deep()) {
    return absl::InvalidArgumentError(
        absl::StrCat("is JSON nested too deeply: at most ", kMostDepth, " levels"));
  }
  if (scan.too_wide()) {
    return absl::InvalidArgumentError("is JSON whose objects have too many members");
  }
  lookups_left_ -= scan.lookups();
  try {
    return Json::parse(text.begin(), text.end());
  } catch (const nlohmann::json::parse_error& error) {
    return absl::InvalidArgumentError(
        absl::StrCat("is not JSON in UTF-8: malformed at byte ", error.byte));
  } catch (const nlohmann::json::exception&) {
    return absl::InvalidArgumentError("is JSON with a number that no double can hold");
  }
}

}  // namespace spearfish
