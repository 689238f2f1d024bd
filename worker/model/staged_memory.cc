#include "worker/model/staged_memory.h"

#include "absl/memory/memory.h"
#include "common/base/status_macros.h"

namespace spearfish::worker {

absl::StatusOr<std::unique_ptr<StagedMemory>> StagedMemory::Create(kernels::Device& device,
                                                                   uint64_t bytes,
                                                                   absl::string_view what) {
  SF_ASSIGN_OR_RETURN(auto device_side, device.Allocate(bytes, what));
  SF_ASSIGN_OR_RETURN(auto host_side, device.AllocateHost(bytes));
  return absl::WrapUnique(new StagedMemory(std::move(device_side), std::move(host_side)));
}

}  // namespace spearfish::worker
