#include "common/expert_cache/cache_builder.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "common/expert_cache/cache_image.h"
#include "common/expert_cache/expert_record.h"

namespace spearfish {
namespace {

// The experts of one layer, handed out one by one to the threads that call Run.
class LayerJob {
 public:
  LayerJob(const Checkpoint& checkpoint, const CachePlan& plan, LayerId layer,
           std::span<std::byte> records)
      : checkpoint_(checkpoint),
        plan_(plan),
        layer_(layer),
        records_(records),
        checksums_(plan.num_experts()) {}

  void Run() {
    for (;;) {
      const uint32_t expert = next_.fetch_add(1, std::memory_order_relaxed);
      if (expert >= plan_.num_experts()) return;
      if (absl::Status status = Pack(ExpertId{expert}); !status.ok()) return Fail(status);
    }
  }

  // After every Run has returned.
  absl::StatusOr<uint64_t> Finish() const {
    SF_RETURN_IF_ERROR(status_);
    return CombineRecordChecksums(checksums_);
  }

 private:
  absl::Status Pack(ExpertId expert) {
    const uint64_t bytes = plan_.layout().record_bytes;
    const std::span<std::byte> record = records_.subspan(Index(expert) * bytes, bytes);
    SF_ASSIGN_OR_RETURN(const ExpertWeights weights, checkpoint_.Expert(layer_, expert));
    if (absl::Status status = PackExpert(weights, plan_.layout(), plan_.quant(), record);
        !status.ok()) {
      return absl::Status(status.code(),
                          absl::StrCat("cannot pack layer ", Index(layer_), " expert ",
                                       Index(expert), ": ", status.message()));
    }
    checksums_[Index(expert)] = RecordChecksum(record);  // while it is still in the CPU's cache
    return absl::OkStatus();
  }

  void Fail(const absl::Status& status) {
    next_.store(plan_.num_experts(), std::memory_order_relaxed);  // the others stop soon
    const std::lock_guard lock(mutex_);
    status_.Update(status);
  }

  const Checkpoint& checkpoint_;
  const CachePlan& plan_;
  const LayerId layer_;
  const std::span<std::byte> records_;
  std::vector<uint64_t> checksums_;  // [experts], each written by one thread
  std::atomic<uint32_t> next_ = 0;
  std::mutex mutex_;
  absl::Status status_;  // guarded by mutex_ until every Run has returned
};

}  // namespace

absl::StatusOr<uint64_t> PackLayer(const Checkpoint& checkpoint, const CachePlan& plan,
                                   LayerId layer, uint32_t num_threads,
                                   std::span<std::byte> records) {
  SF_CHECK(records.size() == plan.layer_bytes());
  if (num_threads == 0) num_threads = std::max(1u, std::thread::hardware_concurrency());
  LayerJob job(checkpoint, plan, layer, records);
  {
    std::vector<std::jthread> threads;
    for (uint32_t i = 1; i < std::min(num_threads, plan.num_experts()); ++i) {
      threads.emplace_back([&job] { job.Run(); });
    }
    job.Run();
  }
  return job.Finish();
}

}  // namespace spearfish
