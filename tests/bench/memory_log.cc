#include "tests/bench/memory_log.h"

#include <unistd.h>

#include <cstdio>

#include "common/base/bytes.h"
#include "common/base/check.h"
#include "common/segment/memory_pool.h"

namespace spearfish::bench {

uint64_t AvailableHostBytes() {
  const auto pools = ReadMemoryPools();
  SF_CHECK_OK(pools.status());
  return pools->front().available_bytes;  // the host's comes first
}

uint64_t MemoryLog::Note(const std::string& when) {
  const tests::ProcessMemory memory =
      tests::ReadProcessMemory(getpid(), segment_.name(), budget_bytes_);
  rows_.push_back({when, memory, AvailableHostBytes()});
  return memory.host_bytes;
}

void MemoryLog::Print() const {
  std::printf(
      "\n| host memory | segment | its PSS here | device memory on the host | all other | locked "
      "| MemAvailable |\n|---|---|---|---|---|---|---|\n");
  for (const Row& row : rows_) {
    std::printf(
        "| %s | %s | %s | %s | %s | %s | %s |\n", row.when.c_str(),
        FormatBytes(segment_.bytes()).c_str(), FormatBytes(row.memory.segment_pss_bytes).c_str(),
        FormatBytes(row.memory.device_bytes).c_str(), FormatBytes(row.memory.host_bytes).c_str(),
        FormatBytes(row.memory.locked_bytes).c_str(), FormatBytes(row.available).c_str());
  }
}

}  // namespace spearfish::bench
