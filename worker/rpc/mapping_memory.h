// The kernel's own account of how much of a mapping is in memory, and whose share it is.
#ifndef WORKER_RPC_MAPPING_MEMORY_H_
#define WORKER_RPC_MAPPING_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spearfish::worker {

struct MappingMemory {
  uint64_t rss_bytes = 0;
  // Each page divided by the number of processes that map it: over all workers of a host the sum
  // is what the segment costs.
  uint64_t pss_bytes = 0;
};

struct AddressRange {
  uint64_t begin = 0;
  uint64_t end = 0;  // one past the last
};

// Sums the areas of `smaps` (the text of /proc/PID/smaps) that lie inside `range`; NotFound if
// there is none. Pure.
absl::StatusOr<MappingMemory> ParseSmaps(absl::string_view smaps, AddressRange range);

// Of this process. Reading walks the page tables of everything mapped (a second at 60 GB of small
// pages), so not for a thread that others wait for.
absl::StatusOr<MappingMemory> ReadMappingMemory(std::span<const std::byte> mapping);

}  // namespace spearfish::worker

#endif  // WORKER_RPC_MAPPING_MEMORY_H_
