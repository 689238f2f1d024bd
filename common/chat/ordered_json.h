// JSON from outside whose members keep their order, as templates print it.
#ifndef COMMON_CHAT_ORDERED_JSON_H_
#define COMMON_CHAT_ORDERED_JSON_H_

#include <cstdint>
#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spearfish {

// Parses the texts that belong to one request, with a bound on the work of all of them together: an
// ordered object looks every new member up among those before it, so their squares add up.
class OrderedJsonParser {
 public:
  static constexpr int kMostDepth = 64;
  // Integers beyond 64 bits: they would become other numbers.
  enum class LargeIntegers { kRefused, kRounded };

  explicit OrderedJsonParser(LargeIntegers large_integers = LargeIntegers::kRefused)
      : large_integers_(large_integers) {}

  // InvalidArgument "is not JSON ...", to be put behind a name: malformed, not UTF-8, nested deeper
  // than kMostDepth levels, more members than there is work left for, or a refused integer.
  absl::StatusOr<nlohmann::ordered_json> Parse(absl::string_view text);

 private:
  const LargeIntegers large_integers_;
  uint64_t lookups_left_ = 20'000'000;  // 0.1 s or so
};

}  // namespace spearfish

#endif  // COMMON_CHAT_ORDERED_JSON_H_
