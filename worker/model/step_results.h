// What a step leaves in device memory for the host, and its way into a StepOutput.
#ifndef WORKER_MODEL_STEP_RESULTS_H_
#define WORKER_MODEL_STEP_RESULTS_H_

#include <cstdint>

#include "common/config/model_config.h"
#include "worker/experts/expert_pool.h"
#include "worker/model/model.h"
#include "worker/model/model_options.h"
#include "worker/model/staged_memory.h"
#include "worker/model/step_batch.h"

namespace spearfish::worker {

// Arrays over logit rows are in device order (StepBatch). Valid until the StagedMemory behind them
// is reset; the host side once it was downloaded and the stream has been waited for.
struct StepResults {
  bool has_logprobs = false;
  uint32_t top_n = 0;
  uint32_t expert_ids_stride = 0;  // entries from one MoE layer to the next

  Staged<int32_t> tokens{};      // [num_logit_rows]
  Staged<float> logprobs{};      // [num_logit_rows] when asked for
  Staged<int32_t> ranks{};       // [num_logit_rows] when asked for, 0 = most likely
  Staged<int32_t> top_ids{};     // [num_logit_rows, top_n] when asked for
  Staged<float> top_logprobs{};  // [num_logit_rows, top_n] when asked for
  Staged<int32_t> expert_ids{};  // [num_moe_layers, expert_ids_stride]: [num_rows, k] and padding
};

// The most that one step can take of a StagedMemory.
uint64_t StepResultsBytes(const ModelConfig& config, const ModelOptions& options);

// Cuts the arrays for a step; resets `staged` first.
StepResults PlaceResults(const StepInput& input, const StepBatch& batch, const ModelConfig& config,
                         StagedMemory& staged);

// Copies the host side to the caller's vectors, in the input's order.
void DeliverResults(const StepInput& input, const StepBatch& batch, const ModelConfig& config,
                    const StepResults& results, StepOutput& output);

// Fills expert_hits from expert_ids: by the table that the step ran with, so before the next one
// begins.
void CountHits(const ExpertPool& pool, const ModelConfig& config, StepOutput& output);

}  // namespace spearfish::worker

#endif  // WORKER_MODEL_STEP_RESULTS_H_
