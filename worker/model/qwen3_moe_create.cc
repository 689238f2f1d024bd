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

// As many blocks as asked for, or as the rest of the budget holds.
absl::StatusOr<uint32_t> ChooseKvBlocks(const KvGeometry& geometry, const ModelOptions& options,
                                        const kernels::Device& device) {
  const uint64_t budget = device.info().budget_bytes;
  const uint64_t left = budget - std::min(budget, device.allocated_bytes());
  const uint64_t useful = uint64_t{options.max_step_sequences} * options.BlocksPerSequence();
  const auto blocks = static_cast<uint32_t>(
      options.kv_blocks > 0 ? options.kv_blocks
                            : std::min<uint64_t>(geometry.BlocksThatFit(left), useful));
  if (blocks >= options.BlocksPerSequence()) return blocks;
  return absl::ResourceExhaustedError(absl::StrFormat(
      "KV cache too small: %d blocks of %d tokens (%s of device memory were left), one sequence of "
      "%d tokens takes %d (%s); raise --vram-budget or lower --max-model-len",
      blocks, options.kv_block_tokens, FormatBytes(left), options.max_model_len,
      options.BlocksPerSequence(), FormatBytes(geometry.CacheBytes(options.BlocksPerSequence()))));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Qwen3MoeModel>> Qwen3MoeModel::Create(const Checkpoint& checkpoint,
                                                                     const CacheView& cache,
                                                                     kernels::Device& device,
                                                                     kernels::Kernels& kernels,
                                                                     const ModelOptions& options) {
  const ModelConfig& config = checkpoint.config();
  SF_RETURN_IF_ERROR(options.Validate(config));
  SF_RETURN_IF_ERROR(CheckCache(cache, config));
  StepLimits limits{.vocab_size = config.vocab_size, .options = options.Resolved(config)};

  Parts parts;
  SF_ASSIGN_OR_RETURN(parts.stream, device.CreateStream("model"));
  SF_ASSIGN_OR_RETURN(parts.weights, ModelWeights::Load(checkpoint, device, *parts.stream));
  SF_ASSIGN_OR_RETURN(parts.inv_freq, MakeInvFreq(config, device, *parts.stream));
  SF_ASSIGN_OR_RETURN(parts.experts, ExpertStore::Create(cache, device, *parts.stream));
  SF_ASSIGN_OR_RETURN(parts.buffers, StepBuffers::Create(config, limits.options,
                                                         parts.experts->layout(), kernels, device));

  const KvGeometry geometry{.num_layers = config.num_layers,
                            .num_kv_heads = config.num_kv_heads,
                            .head_dim = config.head_dim,
                            .block_tokens = limits.options.kv_block_tokens,
                            .dtype = kernels.activation_dtype()};
  SF_ASSIGN_OR_RETURN(limits.num_kv_blocks, ChooseKvBlocks(geometry, limits.options, device));
  SF_ASSIGN_OR_RETURN(parts.kv, KvCache::Create(device, geometry, limits.num_kv_blocks));
  return absl::WrapUnique(new Qwen3MoeModel(checkpoint, limits, kernels, std::move(parts)));
}

}  // namespace spearfish::worker
