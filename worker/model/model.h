// One model on one device: weights, KV cache, and a forward pass over a batch of sequence pieces.
#ifndef WORKER_MODEL_MODEL_H_
#define WORKER_MODEL_MODEL_H_

#include <cstdint>
#include <span>
#include <vector>

#include "common/base/ids.h"
#include "common/config/generation_config.h"
#include "common/config/model_config.h"
#include "kernels/api/kernels.h"
#include "worker/experts/pool_figures.h"
#include "worker/kv/block_source.h"

namespace spearfish::worker {

// Limits of one logit row that requests must be held to before they reach a step: the result and
// input buffers are sized for them.
inline constexpr uint32_t kMaxTopLogprobs = 128;
inline constexpr uint32_t kMaxLogitBiases = 1024;

// The next `token_ids` of one sequence; after the step its cache holds context_len tokens, these
// included. block_table, block ids of kv_blocks(), covers at least context_len tokens.
struct StepSequence {
  std::span<const TokenId> token_ids = {};
  uint32_t context_len = 0;
  std::span<const uint32_t> block_table = {};
};

// A row of the step (rows are the sequences' tokens in order) whose logits are wanted.
struct StepLogitRow {
  uint32_t row = 0;
  // Sample a token from them; otherwise only the log-probability of `target` is taken.
  bool sample = false;
  TokenId target = 0;
  kernels::SampleRow sampling = {};  // history_* and bias_* index the step's arrays
};

// One forward pass. Everything is host memory of the caller, untouched until Forward returns.
struct StepInput {
  std::span<const StepSequence> sequences = {};
  std::span<const StepLogitRow> logit_rows = {};  // in ascending order of row
  // Token ids, see kernels::SampleRow; at most max_step_sequences x max_model_len of them.
  std::span<const int32_t> history = {};
  std::span<const kernels::LogitBias> biases = {};  // at most max_step_sequences x kMaxLogitBiases
  bool logprobs = false;                            // compute log-probabilities of the logit rows
  // and of the top_n most likely tokens of each; at most kMaxTopLogprobs and the vocabulary
  uint32_t top_n = 0;
};

// Filled by Forward; the vectors keep their capacity from step to step.
struct StepOutput {
  std::vector<TokenId> tokens;        // [logit rows]: sampled, or the target
  std::vector<float> logprobs;        // [logit rows], when asked for
  std::vector<uint32_t> ranks;        // [logit rows], 1 = most likely, when asked for
  std::vector<TokenId> top_ids;       // [logit rows, top_n]
  std::vector<float> top_logprobs;    // [logit rows, top_n]
  std::vector<int32_t> expert_ids;    // [MoE layers, rows, k]: the routing of every row
  std::vector<uint32_t> expert_hits;  // [rows]: activations served from a slot; the rest are misses
};

// Used by one thread (the engine's) unless said otherwise. Rows of a sequence come in order, each
// position once; a sequence's blocks belong to it alone. Outputs do not depend on how the batch is
// composed (kernels.h, batch invariance).
class Model {
 public:
  virtual ~Model() = default;

  virtual const ModelConfig& config() const = 0;
  virtual const GenerationConfig& generation_config() const = 0;
  // Tokens of prompt and output together that one sequence may have.
  virtual uint32_t max_model_len() const = 0;

  // Where the engine gets KV blocks from; its reserved extents hold a sequence of max_model_len.
  virtual BlockSource& kv_blocks() = 0;
  virtual uint32_t kv_block_tokens() const = 0;
  uint32_t num_kv_blocks() { return kv_blocks().num_blocks(); }
  // Those that are KV for good: any one sequence that fits into them always comes to its end.
  uint32_t num_reserved_kv_blocks() {
    return kv_blocks().num_reserved_extents() * kv_blocks().blocks_per_extent();
  }
  // Rows that one step may have: the workspace is sized for it.
  virtual uint32_t max_step_tokens() const = 0;
  // Rows that one step may have at most when its workspace borrows frames of the soft tier; at
  // least max_step_tokens().
  virtual uint32_t max_borrowed_step_tokens() const { return max_step_tokens(); }
  // Sequences that one step may have.
  virtual uint32_t max_step_sequences() const = 0;

  virtual uint64_t expert_record_bytes() const = 0;
  // Device memory of the weights that are no experts.
  virtual uint64_t dense_weight_bytes() const { return 0; }

  // --- Between steps: the soft tier of the experts gives frames and gets them back. What stands
  // here is right for a model without one. ---
  // Makes room for a step of num_rows rows by taking just the soft frames that it needs. Returns
  // the rows that steps may have from now on: at least max_step_tokens() and what an earlier call
  // gave, at most num_rows unless an earlier call gave more; less than asked for while KV blocks
  // lie in some of the frames. May be called again and again: cheap when it changes nothing.
  virtual uint32_t BorrowStepTokens([[maybe_unused]] uint32_t num_rows) {
    return max_step_tokens();
  }
  // Gives the frames back, so that steps have max_step_tokens() rows again. Their experts are
  // reloaded in the background. Nothing happens when nothing is borrowed.
  virtual void ReturnStepTokens() {}
  // For the time in which no step comes, which otherwise does the same at its start. True while
  // copies are queued or on their way: call again soon.
  virtual bool Maintain() { return false; }

  // Any thread.
  virtual PoolFigures pool_figures() const { return {}; }

  // Runs the step and waits for its results. A breach of the limits above is a CHECK failure: the
  // engine schedules within them.
  virtual void Forward(const StepInput& input, StepOutput& output) = 0;
};

}  // namespace spearfish::worker

#endif  // WORKER_MODEL_MODEL_H_
