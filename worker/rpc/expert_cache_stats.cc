#include "worker/rpc/expert_cache_stats.h"

#include "absl/status/statusor.h"
#include "common/base/status_macros.h"
#include "worker/rpc/mapping_memory.h"

namespace spearfish::worker {
namespace {

void FillTransfer(const TransferFigures& from, v1::TransferStats& out) {
  out.set_count(from.count);
  out.set_bytes(from.bytes);
  out.set_seconds(from.seconds);
}

void FillFrames(const PoolFigures& pool, v1::FrameStats& out) {
  out.set_frame_bytes(pool.frame_bytes);
  out.set_hard_slots(pool.frames.hard_slots);
  out.set_soft_slots(pool.frames.soft_slots);
  out.set_kv(pool.frames.kv);
  out.set_workspace(pool.frames.workspace);
  out.set_unused(pool.frames.unused);
}

void FillLayers(const PoolFigures& pool, v1::ExpertCacheStats& out) {
  for (uint32_t i = 0; i < pool.layers.size(); ++i) {
    v1::LayerExpertStats& layer = *out.add_layers();
    layer.set_moe_layer(i);
    layer.set_resident(pool.layers[i].resident);
    layer.set_hits(pool.layers[i].hits);
    layer.set_misses(pool.layers[i].misses);
  }
}

void FillPool(const PoolFigures& pool, v1::ExpertCacheStats& out) {
  out.set_slots_hard(pool.frames.hard_slots);
  out.set_slots_soft(pool.frames.soft_slots);
  out.set_slots_total(uint64_t{pool.frames.hard_slots} + pool.frames.soft_slots);
  out.set_coverage(pool.coverage());
  out.set_resident(pool.num_resident);
  out.set_loading(pool.num_loading);
  FillTransfer(pool.loads, *out.mutable_loads());
  FillTransfer(pool.reclaims, *out.mutable_reclaims());
  FillTransfer(pool.reloads, *out.mutable_reloads());
  FillTransfer(pool.promotions, *out.mutable_promotions());
  out.set_cancelled_loads(pool.cancelled_loads);
  out.set_extra_host_bytes(pool.extra_host_bytes);
  FillFrames(pool, *out.mutable_frames());
  FillLayers(pool, out);
}

}  // namespace

absl::Status FillExpertCacheStats(const ServingState& state, v1::ExpertCacheStats& out) {
  SF_ASSIGN_OR_RETURN(const LoadedModel* const model, state.Loaded());
  const MappedExpertCache& experts = model->experts;
  SF_ASSIGN_OR_RETURN(const MappingMemory memory, ReadMappingMemory(experts.mapping));
  const EngineStats stats = model->engine.stats();
  out.set_address(state.address());
  out.set_device(state.device());
  out.set_segment_name(experts.segment_name);
  out.set_segment_bytes(experts.mapping.size());
  out.set_records(experts.num_records);
  out.set_record_bytes(experts.record_bytes);
  out.set_hits(stats.expert_hits);
  out.set_misses(stats.expert_misses);
  out.set_mapping_rss_bytes(memory.rss_bytes);
  out.set_mapping_pss_bytes(memory.pss_bytes);
  out.set_populated_here(experts.populated_here);
  FillPool(model->pool_figures(), out);
  return absl::OkStatus();
}

}  // namespace spearfish::worker
