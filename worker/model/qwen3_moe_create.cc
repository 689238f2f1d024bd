// Construction of a Qwen3MoeModel: checks, then memory in the order of its use.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "common/base/bytes.h"
#include "common/base/status_macros.h"
#include "worker/experts/kernel_layout.h"
#include "worker/model/qwen3_moe_model.h"

namespace spearfish::worker {
namespace {

absl::Status CheckSame(absl::string_view what, uint64_t cache, uint64_t config) {
  if (cache == config) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrFormat("expert cache does not fit the checkpoint: %s is %d in the cache, %d in "
                      "config.json; run spearfish-pack again",
                      what, cache, config));
}

absl::Status CheckCache(const CacheView& cache, const ModelConfig& config) {
  SF_RETURN_IF_ERROR(CheckSame("hidden size", cache.layout().hidden, config.hidden_size));
  SF_RETURN_IF_ERROR(CheckSame("expert intermediate size", cache.layout().intermediate,
                               config.moe_intermediate_size));
  SF_RETURN_IF_ERROR(CheckSame("number of layers", cache.num_layers(), config.num_layers));
  SF_RETURN_IF_ERROR(
      CheckSame("number of MoE layers", cache.num_moe_layers(), config.num_moe_layers()));
  SF_RETURN_IF_ERROR(CheckSame("number of experts", cache.num_experts(), config.num_experts));
  for (uint32_t layer = 0; layer < config.num_layers; ++layer) {
    SF_RETURN_IF_ERROR(CheckSame(absl::StrFormat("presence of experts in layer %d", layer),
                                 cache.has_layer(LayerId{layer}) ? 1 : 0,
                                 config.is_moe(LayerId{layer}) ? 1 : 0));
  }
  return absl::OkStatus();
}

// inv_freq[i] = theta^(-2i / head_dim).
absl::StatusOr<std::unique_ptr<kernels::Buffer>> MakeInvFreq(const ModelConfig& config,
                                                             kernels::Device& device,
                                                             kernels::Stream& stream) {
  const uint32_t half = config.head_dim / 2;
  SF_ASSIGN_OR_RETURN(auto table, device.Allocate(half * sizeof(float), "the rotary frequencies"));
  SF_ASSIGN_OR_RETURN(auto host, device.AllocateHost(half * sizeof(float)));
  for (uint32_t i = 0; i < half; ++i) {
    host->as<float>()[i] = static_cast<float>(
        std::pow(static_cast<double>(config.rope_theta), -2.0 * i / config.head_dim));
  }
  stream.Copy(table->data(), host->data(), half * sizeof(float));
  stream.Synchronize();
  return table;
}

ArenaNeeds NeedsOf(const ModelConfig& config, const StepLimits& limits,
                   const StepWorkspace& workspace, const kernels::Device& device) {
  const ModelOptions& options = limits.options;
  const uint64_t budget = device.info().budget_bytes;
  const uint32_t one_sequence = options.BlocksPerSequence();
  const uint64_t useful = uint64_t{options.max_step_sequences} * one_sequence;
  ArenaNeeds needs;
  needs.budget_bytes = budget - std::min(budget, device.allocated_bytes());
  needs.frame_bytes = limits.kv.frame_bytes();
  needs.num_records = uint64_t{config.num_moe_layers()} * config.num_experts;
  needs.max_coverage = options.pool.max_coverage;
  needs.hard_share = options.hard_share;
  needs.workspace_bytes = workspace.Bytes(options.max_step_tokens);
  needs.borrowed_workspace_bytes = workspace.Bytes(options.MostStepTokens());
  needs.frames_per_extent = limits.kv.frames_per_extent();
  needs.blocks_per_extent = limits.kv.blocks_per_extent();
  needs.min_kv_blocks = options.kv_blocks > 0 ? options.kv_blocks : one_sequence;
  needs.max_kv_blocks = options.kv_blocks > 0
                            ? options.kv_blocks
                            : static_cast<uint32_t>(std::min<uint64_t>(useful, INT32_MAX));
  return needs;
}

// In the plan's order.
void SetUses(const ArenaPlan& plan, FrameArena& arena) {
  for (uint32_t f = 0; f < plan.num_frames(); ++f) {
    FrameUse use = FrameUse::kWorkspace;
    if (f < plan.first_kv()) {
      use = FrameUse::kHardSlot;
    } else if (f < plan.first_soft()) {
      use = FrameUse::kKv;
    } else if (f < plan.first_workspace()) {
      use = FrameUse::kSoftSlot;
    }
    arena.SetUse(FrameId{f}, use);
  }
}

}  // namespace

// All device memory that is left becomes frames; the slots are filled.
absl::Status Qwen3MoeModel::CreateArena(const ModelConfig& config, const StepLimits& limits,
                                        kernels::Device& device, Parts& parts) {
  const ModelOptions& options = limits.options;
  SF_ASSIGN_OR_RETURN(parts.plan, PlanArena(NeedsOf(config, limits, *parts.workspace, device)));
  if (options.kv_blocks > 0) parts.plan.num_claimable_extents = 0;
  SF_ASSIGN_OR_RETURN(parts.arena,
                      FrameArena::Create(device, parts.plan.frame_bytes, parts.plan.num_frames()));
  SetUses(parts.plan, *parts.arena);
  SF_ASSIGN_OR_RETURN(parts.pool,
                      ExpertPool::Create(options.pool,
                                         {.device = device,
                                          .arena = *parts.arena,
                                          .table = parts.experts->table(),
                                          .counters = parts.experts->activation_counters(),
                                          .record_addresses = parts.experts->record_addresses()},
                                         parts.experts->num_experts()));
  if (!options.expert_heat.empty()) parts.pool->Seed(options.expert_heat);
  parts.pool->Load(*parts.stream);
  parts.soft_frames = std::make_unique<SoftFrames>(parts.plan, *parts.pool, *parts.stream);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Qwen3MoeModel>> Qwen3MoeModel::Create(const Checkpoint& checkpoint,
                                                                     const CacheView& cache,
                                                                     kernels::Device& device,
                                                                     kernels::Kernels& kernels,
                                                                     const ModelOptions& options) {
  const ModelConfig& config = checkpoint.config();
  SF_RETURN_IF_ERROR(options.Validate(config));
  SF_RETURN_IF_ERROR(CheckCache(cache, config));
  const kernels::ExpertLayout layout = ToKernelLayout(cache.layout());
  const KvGeometry geometry{.num_layers = config.num_layers,
                            .num_kv_heads = config.num_kv_heads,
                            .head_dim = config.head_dim,
                            .block_tokens = options.kv_block_tokens,
                            .dtype = kernels.activation_dtype()};
  StepLimits limits{.vocab_size = config.vocab_size,
                    .kv = KvLayout(geometry, layout.record_bytes),
                    .options = options.Resolved(config)};

  Parts parts;
  SF_ASSIGN_OR_RETURN(parts.stream, device.CreateStream("model"));
  SF_ASSIGN_OR_RETURN(parts.weights,
                      ModelWeights::Load(checkpoint, device, *parts.stream, options.dense));
  SF_ASSIGN_OR_RETURN(parts.inv_freq, MakeInvFreq(config, device, *parts.stream));
  SF_ASSIGN_OR_RETURN(parts.experts, ExpertStore::Create(cache, device, *parts.stream));
  SF_ASSIGN_OR_RETURN(parts.inputs, StagedMemory::Create(device, StepBatchBytes(limits.options),
                                                         "the step inputs"));
  SF_ASSIGN_OR_RETURN(
      parts.results,
      StagedMemory::Create(device, StepResultsBytes(config, limits.options), "the step results"));
  parts.workspace = std::make_unique<StepWorkspace>(config, limits.options, layout, kernels);
  SF_RETURN_IF_ERROR(CreateArena(config, limits, device, parts));
  limits.num_kv_blocks = parts.soft_frames->num_blocks();
  parts.kv = std::make_unique<KvCache>(parts.arena->address(FrameId{parts.plan.first_kv()}),
                                       limits.kv, limits.num_kv_blocks);
  return absl::WrapUnique(new Qwen3MoeModel(checkpoint, limits, kernels, std::move(parts)));
}

}  // namespace spearfish::worker
