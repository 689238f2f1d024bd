#include "common/base/bytes.h"

#include <array>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

namespace spearfish {
namespace {

struct Unit {
  absl::string_view suffix;
  double bytes;
};

constexpr std::array<Unit, 14> kUnits = {{{"", 1},
                                          {"B", 1},
                                          {"KIB", 1024.0},
                                          {"MIB", 1024.0 * 1024},
                                          {"GIB", 1024.0 * 1024 * 1024},
                                          {"TIB", 1024.0 * 1024 * 1024 * 1024},
                                          {"K", 1024.0},
                                          {"M", 1024.0 * 1024},
                                          {"G", 1024.0 * 1024 * 1024},
                                          {"T", 1024.0 * 1024 * 1024 * 1024},
                                          {"KB", 1e3},
                                          {"MB", 1e6},
                                          {"GB", 1e9},
                                          {"TB", 1e12}}};

}  // namespace

absl::StatusOr<uint64_t> ParseBytes(absl::string_view text) {
  const absl::string_view trimmed = absl::StripAsciiWhitespace(text);
  const size_t end = trimmed.find_first_not_of("0123456789.");
  const absl::string_view number = trimmed.substr(0, end);
  const std::string unit = absl::AsciiStrToUpper(absl::StripAsciiWhitespace(
      end == absl::string_view::npos ? absl::string_view() : trimmed.substr(end)));
  double value = 0;
  for (const Unit& candidate : kUnits) {
    if (unit != candidate.suffix || number.empty() || !absl::SimpleAtod(number, &value)) continue;
    const double bytes = value * candidate.bytes;
    if (bytes >= 9.2e18) break;
    return static_cast<uint64_t>(std::llround(bytes));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("not a size: '", text, "'; write a number with KiB, MiB or GiB"));
}

std::string FormatBytes(uint64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (bytes >= kGiB) return absl::StrFormat("%.2f GiB", value / kGiB);
  if (bytes >= kMiB) return absl::StrFormat("%.1f MiB", value / kMiB);
  if (bytes >= kKiB) return absl::StrFormat("%.0f KiB", value / kKiB);
  return absl::StrFormat("%u B", bytes);
}

}  // namespace spearfish
