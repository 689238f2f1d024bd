// Sizes as people write them ("512 MiB") and alignment arithmetic.
#ifndef COMMON_BASE_BYTES_H_
#define COMMON_BASE_BYTES_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spearfish {

inline constexpr uint64_t kKiB = uint64_t{1} << 10;
inline constexpr uint64_t kMiB = uint64_t{1} << 20;
inline constexpr uint64_t kGiB = uint64_t{1} << 30;

constexpr uint64_t AlignUp(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

// Parses "4096", "64KiB", "1.5 GiB", "2MB" (decimal units too). InvalidArgument on anything else,
// on a negative number and on overflow.
absl::StatusOr<uint64_t> ParseBytes(absl::string_view text);

// "59.80 GiB", "608 KiB", "12 B".
std::string FormatBytes(uint64_t bytes);

}  // namespace spearfish

#endif  // COMMON_BASE_BYTES_H_
