// Drives a Model as the engine does: prompts in chunks, then one token a step, all sequences of a
// call together in each step.
#ifndef TESTS_GOLDEN_SEQUENCE_RUNNER_H_
#define TESTS_GOLDEN_SEQUENCE_RUNNER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/base/ids.h"
#include "worker/kv/block_allocator.h"
#include "worker/kv/block_table.h"
#include "worker/model/model.h"

namespace spearfish::tests {

struct RunOptions {
  uint32_t chunk_tokens = 0;  // of a prompt in one step; 0 = the whole prompt
  uint32_t num_generated = 0;
  uint32_t top_n = 0;
  kernels::SampleRow sampling =
      {};  // of every sequence; counter is the index of the generated token
};

// Of one sequence.
struct RunOutput {
  std::vector<float> prompt_logprobs;     // [prompt - 1], of tokens 1..
  std::vector<TokenId> generated;         // [num_generated]
  std::vector<float> generated_logprobs;  // [num_generated]
  std::vector<TokenId> top_ids;           // [top_n] after the prompt
  std::vector<float> top_logprobs;        // [top_n] after the prompt
  // [num_moe_layers][k], sorted: the routing of the prompt's last token.
  std::vector<std::vector<int32_t>> last_experts;
};

// Owns the block bookkeeping of one model, which must outlive it. One call at a time.
class SequenceRunner {
 public:
  explicit SequenceRunner(worker::Model& model) : model_(model), allocator_(model.kv_blocks()) {}

  std::vector<RunOutput> Run(const std::vector<std::vector<TokenId>>& prompts,
                             const RunOptions& options);
  RunOutput Run(const std::vector<TokenId>& prompt, const RunOptions& options) {
    return Run(std::vector<std::vector<TokenId>>{prompt}, options).front();
  }

 private:
  struct Sequence;
  bool Step(std::vector<Sequence>& sequences, const RunOptions& options);
  void Collect(Sequence& sequence, size_t first_row, size_t num_rows, size_t step_rows,
               const RunOptions& options);
  void CollectPromptEnd(RunOutput& output, size_t row, size_t step_rows, const RunOptions& options);

  worker::Model& model_;
  worker::BlockAllocator allocator_;
  worker::StepOutput step_output_;
};

}  // namespace spearfish::tests

#endif  // TESTS_GOLDEN_SEQUENCE_RUNNER_H_
