#include "tests/bench/pool_under_load.h"

#include <algorithm>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/bytes.h"
#include "common/base/status_macros.h"

namespace spearfish::bench {
namespace {

// Address table, counters and what a step computes in. A size that no other mapping has, for
// tests/integration/pool/process_memory.h.
constexpr uint64_t kBesidePoolBytes = 96 * kMiB + 7 * 4096;

void SetUses(const PoolUnderLoad& bench) {
  for (uint32_t f = 0; f < bench.num_slots(); ++f) {
    bench.arena->SetUse(worker::FrameId{f}, f < bench.num_hard() ? worker::FrameUse::kHardSlot
                                                                 : worker::FrameUse::kSoftSlot);
  }
}

}  // namespace

tests::SyntheticOptions PoolUnderLoad::Model(const PoolUnderLoadOptions& options) {
  return {.vocab_size = 256,
          .hidden_size = options.hidden,
          .num_layers = options.layers,
          .num_heads = 1,
          .num_kv_heads = 1,
          .head_dim = 32,
          .num_experts = options.experts,
          .num_experts_per_token = options.top_k,
          .moe_intermediate_size = options.channels};
}

absl::StatusOr<std::unique_ptr<PoolUnderLoad>> PoolUnderLoad::Create(
    const SyntheticCache& made, const PoolUnderLoadOptions& options) {
  const CacheView& cache = made.segment->cache();
  const uint64_t record = cache.layout().record_bytes;
  const uint64_t num_slots = std::min(options.pool_bytes / record, cache.num_records());
  if (num_slots < 2) {
    return absl::InvalidArgumentError(absl::StrCat("pool too small: ", options.pool_bytes,
                                                   " bytes for records of ", record,
                                                   "; give it two records at least"));
  }
  auto bench = std::make_unique<PoolUnderLoad>(made);
  bench->budget_bytes = num_slots * record + kBesidePoolBytes;
  const uint32_t threads =
      options.num_threads > 0 ? options.num_threads : std::thread::hardware_concurrency();
  SF_ASSIGN_OR_RETURN(bench->device,
                      tests::CreateTestDevice(options.device, bench->budget_bytes, threads));
  kernels::Device& device = *bench->device.device;
  SF_ASSIGN_OR_RETURN(bench->stream, device.CreateStream("steps"));
  const absl::Time begin = absl::Now();
  SF_ASSIGN_OR_RETURN(bench->store, worker::ExpertStore::Create(cache, device, *bench->stream));
  bench->register_seconds = absl::ToDoubleSeconds(absl::Now() - begin);
  SF_ASSIGN_OR_RETURN(bench->arena,
                      worker::FrameArena::Create(device, record, static_cast<uint32_t>(num_slots)));
  SetUses(*bench);
  SF_ASSIGN_OR_RETURN(bench->staging, device.AllocateHost(record));
  SF_ASSIGN_OR_RETURN(
      bench->pool,
      worker::ExpertPool::Create({.promotions_per_layer_token = options.promotions_per_layer_token},
                                 {.device = device,
                                  .arena = *bench->arena,
                                  .table = bench->store->table(),
                                  .counters = bench->store->activation_counters(),
                                  .record_addresses = bench->store->record_addresses()},
                                 cache.num_experts()));
  SF_ASSIGN_OR_RETURN(bench->steps, RoutedSteps::Create({.device = device,
                                                         .kernels = *bench->device.kernels,
                                                         .store = *bench->store,
                                                         .pool = *bench->pool,
                                                         .stream = *bench->stream},
                                                        options.top_k));
  return bench;
}

}  // namespace spearfish::bench
