#include "worker/model/model_options.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "common/base/bytes.h"
#include "common/base/status_macros.h"

namespace spearfish::worker {
namespace {

constexpr uint64_t kLogitRowAlignment = 4;

absl::Status CheckRange(absl::string_view name, uint32_t value, uint32_t low, uint32_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrFormat(
      "model option out of range: %s is %d; choose %d to %d", name, value, low, high));
}

}  // namespace

absl::Status ModelOptions::Validate(const ModelConfig& config) const {
  SF_RETURN_IF_ERROR(CheckRange("max_model_len", max_model_len, 0, config.max_position_embeddings));
  SF_RETURN_IF_ERROR(CheckRange("max_step_tokens", max_step_tokens, 1, 1u << 16));
  if (max_borrowed_step_tokens > 0) {
    SF_RETURN_IF_ERROR(CheckRange("max_borrowed_step_tokens", max_borrowed_step_tokens,
                                  max_step_tokens, 1u << 16));
  }
  SF_RETURN_IF_ERROR(CheckRange("max_step_sequences", max_step_sequences, 1, max_step_tokens));
  SF_RETURN_IF_ERROR(CheckRange("kv_block_tokens", kv_block_tokens, 1, 1u << 12));
  if (kv_blocks > 0) {
    SF_RETURN_IF_ERROR(CheckRange("kv_blocks", kv_blocks, Resolved(config).BlocksPerSequence(),
                                  std::numeric_limits<int32_t>::max()));
  }
  if (dense.bits != 8 && dense.bits != 16) {
    return absl::InvalidArgumentError(
        absl::StrFormat("model option out of range: dense.bits is %d; choose 8 or 16", dense.bits));
  }
  SF_RETURN_IF_ERROR(pool.Validate());
  if (!(hard_share >= 0 && hard_share <= 1)) {
    return absl::InvalidArgumentError(
        absl::StrFormat("model option out of range: hard_share is %g; choose 0 to 1", hard_share));
  }
  const uint64_t num_records = uint64_t{config.num_moe_layers()} * config.num_experts;
  if (!expert_heat.empty() && expert_heat.size() != num_records) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "model option out of range: expert_heat has %d entries; give one for each of %d experts",
        expert_heat.size(), num_records));
  }
  return CheckRange("logit_chunk_rows", logit_chunk_rows, 1, 1u << 12);
}

ModelOptions ModelOptions::Resolved(const ModelConfig& config) const {
  ModelOptions resolved = *this;
  if (resolved.max_model_len == 0) resolved.max_model_len = config.max_position_embeddings;
  resolved.max_borrowed_step_tokens = MostStepTokens();
  // Chunks begin 16-byte aligned in arrays of one entry a row.
  resolved.logit_chunk_rows = static_cast<uint32_t>(
      AlignUp(std::min(logit_chunk_rows, max_step_tokens), kLogitRowAlignment));
  return resolved;
}

}  // namespace spearfish::worker
