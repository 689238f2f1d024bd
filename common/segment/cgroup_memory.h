// The memory limits of the cgroups that this process is in.
#ifndef COMMON_SEGMENT_CGROUP_MEMORY_H_
#define COMMON_SEGMENT_CGROUP_MEMORY_H_

#include <string>
#include <vector>

#include "common/segment/memory_pool.h"

namespace spearfish {

// One pool for each ancestor (the process's own cgroup first) that has a limit, of cgroup v2 and of
// v1's memory controller, whichever are mounted. Available: limit less usage, with the page cache
// on the LRU lists counted as free, as MemAvailable does; shared memory isn't on those lists.
// Empty where nothing limits. `root` is the folder that /proc and /sys are looked up in: "" for
// this host.
std::vector<MemoryPool> ReadCgroupMemory(const std::string& root);

}  // namespace spearfish

#endif  // COMMON_SEGMENT_CGROUP_MEMORY_H_
