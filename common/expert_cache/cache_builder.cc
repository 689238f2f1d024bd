#include "common/expert_cache/cache_builder.h"

#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "common/expert_cache/cache_image.h"
#include "common/expert_cache/expert_record.h"
#include "common/expert_cache/parallel_tasks.h"

namespace spearfish {
namespace {

absl::Status PackOne(const Checkpoint& checkpoint, const CachePlan& plan, LayerId layer,
                     ExpertId expert, std::span<std::byte> record) {
  SF_ASSIGN_OR_RETURN(const ExpertWeights weights, checkpoint.Expert(layer, expert));
  const absl::Status status = PackExpert(weights, plan.layout(), plan.quant(), record);
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat("cannot pack layer ", Index(layer), " expert ",
                                                  Index(expert), ": ", status.message()));
}

}  // namespace

absl::StatusOr<uint64_t> PackLayer(const Checkpoint& checkpoint, const CachePlan& plan,
                                   LayerId layer, uint32_t num_threads,
                                   std::span<std::byte> records) {
  SF_CHECK(records.size() == plan.layer_bytes());
  const uint64_t bytes = plan.layout().record_bytes;
  std::vector<uint64_t> checksums(plan.num_experts());  // each written by one task
  const auto pack = [&](uint32_t expert) -> absl::Status {
    const std::span<std::byte> record = records.subspan(expert * bytes, bytes);
    SF_RETURN_IF_ERROR(PackOne(checkpoint, plan, layer, ExpertId{expert}, record));
    checksums[expert] = RecordChecksum(record);  // while it is still in the CPU's cache
    return absl::OkStatus();
  };
  SF_RETURN_IF_ERROR(RunTasks(plan.num_experts(), num_threads, pack));
  return CombineRecordChecksums(checksums);
}

}  // namespace spearfish
