#include "common/segment/memory_pool.h"

#include <algorithm>
#include <fstream>
#include <utility>

#include "common/base/bytes.h"
#include "common/base/status_macros.h"
#include "common/segment/cgroup_memory.h"

namespace spearfish {
namespace {

absl::StatusOr<MemoryPool> ReadHost(const std::string& root) {
  MemoryPool host{.name = "host memory"};
  std::ifstream meminfo(root + "/proc/meminfo");
  std::string key;
  std::string unit;
  uint64_t kibibytes = 0;
  while (meminfo >> key >> kibibytes && std::getline(meminfo, unit)) {
    if (key == "MemTotal:") host.total_bytes = kibibytes * kKiB;
    if (key == "MemAvailable:") host.available_bytes = kibibytes * kKiB;
  }
  if (host.total_bytes == 0) {
    return absl::InternalError("cannot read /proc/meminfo: no MemTotal; mount /proc");
  }
  return host;
}

}  // namespace

absl::StatusOr<std::vector<MemoryPool>> ReadMemoryPools(const std::string& root) {
  SF_ASSIGN_OR_RETURN(MemoryPool host, ReadHost(root));
  std::vector<MemoryPool> pools = {std::move(host)};
  std::ranges::move(ReadCgroupMemory(root), std::back_inserter(pools));
  return pools;
}

const MemoryPool* TightestPool(const std::vector<MemoryPool>& pools, double margin) {
  const auto least = std::ranges::min_element(
      pools, {}, [margin](const MemoryPool& pool) { return pool.BytesAbove(margin); });
  return least == pools.end() ? nullptr : &*least;
}

}  // namespace spearfish
