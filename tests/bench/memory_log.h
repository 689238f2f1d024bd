// A process's host memory, from one point of a run to the next.
#ifndef TESTS_BENCH_MEMORY_LOG_H_
#define TESTS_BENCH_MEMORY_LOG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/segment/expert_cache_segment.h"
#include "tests/integration/pool/process_memory.h"

namespace spearfish::bench {

// MemAvailable.
uint64_t AvailableHostBytes();

// Of this process, which has the segment mapped; the segment must outlive it. The CPU device's
// memory is told apart by its budget (process_memory.h).
class MemoryLog {
 public:
  MemoryLog(const ExpertCacheSegment& segment, uint64_t budget_bytes)
      : segment_(segment), budget_bytes_(budget_bytes) {}

  // Returns what is neither the segment nor device memory.
  uint64_t Note(const std::string& when);
  void Print() const;

 private:
  struct Row {
    std::string when;
    tests::ProcessMemory memory;
    uint64_t available;
  };
  const ExpertCacheSegment& segment_;
  const uint64_t budget_bytes_;
  std::vector<Row> rows_;
};

}  // namespace spearfish::bench

#endif  // TESTS_BENCH_MEMORY_LOG_H_
