#include "worker/experts/expert_store.h"

#include "absl/memory/memory.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "worker/experts/kernel_layout.h"

namespace spearfish::worker {
namespace {

constexpr uint32_t kNotMoe = ~uint32_t{0};

}  // namespace

absl::StatusOr<std::unique_ptr<ExpertStore>> ExpertStore::Create(const CacheView& cache,
                                                                 kernels::Device& device,
                                                                 kernels::Stream& stream) {
  SF_ASSIGN_OR_RETURN(auto records, RegisteredRecords::Create(cache, device));
  SF_ASSIGN_OR_RETURN(
      auto table, AddressTable::Create(device, stream, cache.num_experts(), records->addresses()));
  SF_ASSIGN_OR_RETURN(
      auto counters,
      ActivationCounters::Create(device, stream, cache.num_moe_layers(), cache.num_experts()));
  return absl::WrapUnique(
      new ExpertStore(cache, std::move(records), std::move(table), std::move(counters)));
}

ExpertStore::ExpertStore(const CacheView& cache, std::unique_ptr<RegisteredRecords> records,
                         std::unique_ptr<AddressTable> table,
                         std::unique_ptr<ActivationCounters> counters)
    : layout_(ToKernelLayout(cache.layout())),
      num_experts_(cache.num_experts()),
      num_moe_layers_(cache.num_moe_layers()),
      moe_index_(cache.num_layers(), kNotMoe),
      records_(std::move(records)),
      table_(std::move(table)),
      counters_(std::move(counters)) {
  uint32_t next = 0;
  for (uint32_t layer = 0; layer < cache.num_layers(); ++layer) {
    if (cache.has_layer(LayerId{layer})) moe_index_[layer] = next++;
  }
}

uint32_t ExpertStore::MoeIndex(LayerId layer) const {
  SF_CHECK(Index(layer) < moe_index_.size() && moe_index_[Index(layer)] != kNotMoe);
  return moe_index_[Index(layer)];
}

}  // namespace spearfish::worker
