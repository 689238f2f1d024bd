// Runs text through a model to see where its tokens are routed.
#ifndef WORKER_PACK_HEATMAP_ROUTING_H_
#define WORKER_PACK_HEATMAP_ROUTING_H_

#include <cstdint>
#include <functional>
#include <span>

#include "common/base/ids.h"
#include "worker/experts/heatmap_file.h"
#include "worker/model/model.h"

namespace spearfish::worker {

// One step: expert_ids [MoE layers, num_rows, k], the rows being the text's next tokens.
using RoutedStepFn = std::function<void(std::span<const int32_t> expert_ids, uint32_t num_rows)>;

// Runs the tokens as prompts, `chunk_tokens` a step (at most the model's max_step_tokens). A text
// longer than max_model_len starts anew there. Nobody else may use the model meanwhile.
void RouteTokens(Model& model, std::span<const TokenId> tokens, uint32_t chunk_tokens,
                 const RoutedStepFn& routed);

// Adds one step's routing.
void CountStep(std::span<const int32_t> expert_ids, uint32_t num_rows, Heatmap& heatmap);

}  // namespace spearfish::worker

#endif  // WORKER_PACK_HEATMAP_ROUTING_H_
