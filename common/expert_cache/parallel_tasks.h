// Independent tasks on a few threads, for packing, reading and checking whole layers.
#ifndef COMMON_EXPERT_CACHE_PARALLEL_TASKS_H_
#define COMMON_EXPERT_CACHE_PARALLEL_TASKS_H_

#include <cstdint>
#include <functional>

#include "absl/status/status.h"

namespace spearfish {

// Calls task(0) to task(num_tasks - 1), each once and in about this order, on `num_threads` threads
// of which the caller's is one (0 = all cores), and returns when all are back. After an error no
// further task begins; of several errors the first to come is returned.
absl::Status RunTasks(uint32_t num_tasks, uint32_t num_threads,
                      const std::function<absl::Status(uint32_t)>& task);

}  // namespace spearfish

#endif  // COMMON_EXPERT_CACHE_PARALLEL_TASKS_H_
