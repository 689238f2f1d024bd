// The record layout as kernels take it.
#ifndef WORKER_EXPERTS_KERNEL_LAYOUT_H_
#define WORKER_EXPERTS_KERNEL_LAYOUT_H_

#include "common/expert_cache/record_layout.h"
#include "kernels/api/expert_layout.h"

namespace spearfish::worker {

// The same numbers: kernels/api knows nothing of the cache.
kernels::ExpertLayout ToKernelLayout(const RecordLayout& layout);

}  // namespace spearfish::worker

#endif  // WORKER_EXPERTS_KERNEL_LAYOUT_H_
