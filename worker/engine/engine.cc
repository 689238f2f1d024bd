#include "worker/engine/engine.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/engine/engine_impl.h"

namespace spearfish::worker {
namespace {

absl::Status AtLeast(absl::string_view field, uint32_t value, uint32_t bound,
                     absl::string_view why) {
  if (value >= bound) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("engine option out of range: ", field, " is ",
                                                 value, ", must be at least ", bound, why));
}

}  // namespace

absl::Status EngineOptions::Validate() const {
  SF_RETURN_IF_ERROR(AtLeast("max_num_seqs", max_num_seqs, 1, ""));
  SF_RETURN_IF_ERROR(AtLeast("max_num_waiting", max_num_waiting, 1, ""));
  SF_RETURN_IF_ERROR(AtLeast("max_num_batched_tokens", max_num_batched_tokens, max_num_seqs,
                             " (max_num_seqs): a step holds a token of every sequence"));
  SF_RETURN_IF_ERROR(AtLeast("max_prefill_chunk_tokens", max_prefill_chunk_tokens, 1, ""));
  if (clock != nullptr) return absl::OkStatus();
  return absl::InvalidArgumentError("engine option missing: clock; leave it at its default");
}

absl::StatusOr<std::unique_ptr<Engine>> Engine::Create(const EngineOptions& options, Model& model,
                                                       const Tokenizer& tokenizer) {
  SF_RETURN_IF_ERROR(options.Validate());
  const uint32_t num_blocks = model.num_reserved_kv_blocks();
  if (uint64_t{num_blocks} * model.kv_block_tokens() < 2 || model.max_model_len() < 2) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model has no room for a sequence: ", num_blocks, " KV blocks of ", model.kv_block_tokens(),
        " tokens, max_model_len ", model.max_model_len(),
        "; a prompt token and a generated one need 2 tokens: raise the memory budget"));
  }
  return std::make_unique<EngineImpl>(options, model, tokenizer);
}

}  // namespace spearfish::worker
