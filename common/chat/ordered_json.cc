#include "common/chat/ordered_json.h"

#include <algorithm>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace spearfish {
namespace {

using Json = nlohmann::ordered_json;

// Looking a member up compares its key with those before it, which may all begin alike.
constexpr size_t kKeyBytesPerLookup = 32;

// What parsing will cost and lose, before anything is parsed; of malformed text whatever comes out.
class JsonScan {
 public:
  JsonScan(absl::string_view text, uint64_t most_lookups) : most_lookups_(most_lookups) {
    for (size_t i = 0; i < text.size() && !too_deep() && !too_wide(); ++i) {
      const char byte = text[i];
      if (byte == '"') {
        i = EndOfString(text, i);
      } else if (absl::ascii_isdigit(static_cast<unsigned char>(byte)) || byte == '-') {
        i = EndOfNumber(text, i);
      } else {
        Structure(byte);
      }
    }
  }

  bool too_deep() const { return members_.size() > OrderedJsonParser::kMostDepth; }
  bool too_wide() const { return lookups_ > most_lookups_; }
  bool too_large() const { return too_large_; }
  uint64_t lookups() const { return lookups_; }

 private:
  // Both return the last byte's place.
  size_t EndOfString(absl::string_view text, size_t begin) {
    size_t end = begin + 1;
    while (end < text.size() && text[end] != '"') end += text[end] == '\\' ? 2 : 1;
    string_bytes_ = end - begin;
    return end;
  }
  size_t EndOfNumber(absl::string_view text, size_t begin) {
    const size_t end = std::min(text.find_first_not_of("+-.0123456789eE", begin), text.size());
    const absl::string_view number = text.substr(begin, end - begin);
    int64_t small;
    uint64_t large;
    too_large_ |= number.find_first_of(".eE") == absl::string_view::npos &&
                  number.size() > kDigitsThatFit && !absl::SimpleAtoi(number, &small) &&
                  !absl::SimpleAtoi(number, &large);
    return end - 1;
  }

  void Structure(char byte) {
    if (byte == '[' || byte == '{') {
      members_.push_back(0);
    } else if (members_.empty()) {
      return;
    } else if (byte == ']' || byte == '}') {
      members_.pop_back();
    } else if (byte == ':') {
      lookups_ += ++members_.back() * (1 + string_bytes_ / kKeyBytesPerLookup);
    }
  }

  static constexpr size_t kDigitsThatFit = 18;

  const uint64_t most_lookups_;
  uint64_t lookups_ = 0;
  size_t string_bytes_ = 0;  // of the last string
  bool too_large_ = false;
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
  if (scan.too_large() && large_integers_ == LargeIntegers::kRefused) {
    return absl::InvalidArgumentError("is JSON with an integer beyond 64 bits");
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
