#include "common/tokenizer/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "common/base/check.h"

namespace spearfish {
namespace {

bool IsAscii(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char byte) { return static_cast<uint8_t>(byte) < 0x80; });
}

// Canonical decomposition of each character by itself, not yet reordered.
std::vector<utf8proc_int32_t> Decompose(absl::string_view text) {
  constexpr int kLongestDecomposition = 4;  // code points, over all of Unicode
  std::vector<utf8proc_int32_t> code_points;
  code_points.reserve(text.size());
  const auto* at = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  const auto* const end = at + text.size();
  int boundary = 0;
  while (at < end) {
    utf8proc_int32_t code_point = 0;
    const utf8proc_ssize_t size = utf8proc_iterate(at, end - at, &code_point);
    SF_CHECK(size > 0);
    at += size;
    std::array<utf8proc_int32_t, kLongestDecomposition> parts{};
    const utf8proc_ssize_t num_parts = utf8proc_decompose_char(
        code_point, parts.data(), parts.size(),
        static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE), &boundary);
    SF_CHECK(num_parts > 0 && num_parts <= kLongestDecomposition);
    code_points.insert(code_points.end(), parts.begin(), parts.begin() + num_parts);
  }
  return code_points;
}

auto CombiningClass(utf8proc_int32_t code_point) {
  return utf8proc_get_property(code_point)->combining_class;
}

// utf8proc's own reordering swaps neighbours, which is quadratic in a run of marks: a text of a
// million of them would hold a thread for minutes.
void ReorderMarks(std::vector<utf8proc_int32_t>& code_points) {
  const auto is_mark = [](utf8proc_int32_t c) { return CombiningClass(c) != 0; };
  auto at = code_points.begin();
  while (true) {
    const auto begin = std::find_if(at, code_points.end(), is_mark);
    if (begin == code_points.end()) return;
    at = std::find_if_not(begin, code_points.end(), is_mark);
    std::stable_sort(begin, at, [](utf8proc_int32_t a, utf8proc_int32_t b) {
      return CombiningClass(a) < CombiningClass(b);
    });
  }
}

}  // namespace

std::string NormalizeNfc(absl::string_view text) {
  if (IsAscii(text)) return std::string(text.data(), text.size());
  std::vector<utf8proc_int32_t> code_points = Decompose(text);
  ReorderMarks(code_points);
  const utf8proc_ssize_t num_composed = utf8proc_normalize_utf32(
      code_points.data(), static_cast<utf8proc_ssize_t>(code_points.size()),
      static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  SF_CHECK(num_composed >= 0);
  std::string composed;
  composed.reserve(text.size());
  for (utf8proc_ssize_t i = 0; i < num_composed; ++i) {
    std::array<utf8proc_uint8_t, 4> bytes{};
    const utf8proc_ssize_t size = utf8proc_encode_char(code_points[i], bytes.data());
    composed.append(reinterpret_cast<const char*>(bytes.data()), static_cast<size_t>(size));
  }
  return composed;
}

}  // namespace spearfish
