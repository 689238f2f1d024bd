#include "worker/rpc/mapping_memory.h"

#include <unistd.h>

#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/bytes.h"

namespace spearfish::worker {
namespace {

// "7f00-8f00 r--s ..." opens an area; "Pss:   12 kB" and the like follow.
std::optional<AddressRange> ParseAreaLine(absl::string_view line) {
  const std::vector<absl::string_view> bounds = absl::StrSplit(line.substr(0, line.find(' ')), '-');
  AddressRange area;
  if (bounds.size() != 2 || !absl::SimpleHexAtoi(bounds[0], &area.begin) ||
      !absl::SimpleHexAtoi(bounds[1], &area.end)) {
    return std::nullopt;
  }
  return area;
}

std::optional<uint64_t> ParseField(absl::string_view line, absl::string_view name) {
  if (!absl::ConsumePrefix(&line, name) || !absl::ConsumeSuffix(&line, " kB")) return std::nullopt;
  uint64_t kib = 0;
  if (!absl::SimpleAtoi(line, &kib)) return std::nullopt;
  return kib * kKiB;
}

}  // namespace

absl::StatusOr<MappingMemory> ParseSmaps(absl::string_view smaps, AddressRange range) {
  MappingMemory memory;
  bool inside = false;
  bool found = false;
  for (const absl::string_view line : absl::StrSplit(smaps, '\n')) {
    if (const auto area = ParseAreaLine(line)) {
      inside = area->begin >= range.begin && area->end <= range.end && area->begin < area->end;
      found |= inside;
    } else if (inside) {
      memory.rss_bytes += ParseField(line, "Rss:").value_or(0);
      memory.pss_bytes += ParseField(line, "Pss:").value_or(0);
    }
  }
  if (found) return memory;
  return absl::NotFoundError(
      absl::StrFormat("mapping not in smaps: [%x, %x)", range.begin, range.end));
}

absl::StatusOr<MappingMemory> ReadMappingMemory(std::span<const std::byte> mapping) {
  std::ifstream file("/proc/self/smaps");
  const std::string smaps{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const uint64_t page = sysconf(_SC_PAGESIZE);
  const uint64_t begin = reinterpret_cast<uintptr_t>(mapping.data());
  return ParseSmaps(smaps,
                    {.begin = begin / page * page, .end = AlignUp(begin + mapping.size(), page)});
}

}  // namespace spearfish::worker
