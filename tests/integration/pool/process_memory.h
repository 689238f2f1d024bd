// A worker's memory as the kernel counts it, by what it is for.
#ifndef TESTS_INTEGRATION_POOL_PROCESS_MEMORY_H_
#define TESTS_INTEGRATION_POOL_PROCESS_MEMORY_H_

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace spearfish::tests {

struct ProcessMemory {
  uint64_t segment_pss_bytes = 0;  // its share of the expert cache
  uint64_t device_bytes = 0;       // the CPU device's "VRAM"; 0 with a real one
  uint64_t host_bytes = 0;         // everything else but clean pages of files, as libraries are
  uint64_t locked_bytes = 0;       // VmLck and VmPin
};

// From /proc/PID/smaps and status. The CPU device's memory is the one private mapping without
// reserve (VmFlags nr) of `device_budget_bytes`.
ProcessMemory ReadProcessMemory(pid_t pid, const std::string& segment_name,
                                uint64_t device_budget_bytes);

}  // namespace spearfish::tests

#endif  // TESTS_INTEGRATION_POOL_PROCESS_MEMORY_H_
