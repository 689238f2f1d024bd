// Turns the sequences chosen for a step into the model's input.
#ifndef WORKER_ENGINE_STEP_BUILDER_H_
#define WORKER_ENGINE_STEP_BUILDER_H_

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/api/kernels.h"
#include "worker/engine/sequence.h"
#include "worker/model/model.h"

namespace spearfish::worker {

// One sequence's share of the step: rows [row_begin, row_begin + num_tokens) and logit rows
// [logit_begin, logit_begin + num_logit_rows).
struct StepPiece {
  Sequence* sequence = nullptr;
  uint32_t num_tokens = 0;
  uint32_t row_begin = 0;
  uint32_t logit_begin = 0;
  uint32_t num_logit_rows = 0;
  // The last logit row samples the sequence's next token; those before it are of prompt tokens.
  bool samples = false;
};

// The engine thread's. Its vectors keep their capacity from step to step.
class StepBuilder {
 public:
  explicit StepBuilder(uint32_t vocab_size) : vocab_size_(vocab_size) {}

  void Clear();
  // The next num_tokens of a sequence that has reserved the blocks for them.
  void Add(Sequence& sequence, uint32_t num_tokens);

  std::span<const StepPiece> pieces() const { return pieces_; }
  // Valid until the next call of Clear or Add, or until a sequence changes.
  StepInput input() const;

 private:
  void AddPromptRows(const Sequence& sequence, const StepPiece& piece);
  void AddSampleRow(const Sequence& sequence, uint32_t row);
  void WantTop(uint32_t top_n);

  const uint32_t vocab_size_;
  uint32_t num_rows_ = 0;
  bool logprobs_ = false;
  uint32_t top_n_ = 0;
  std::vector<StepPiece> pieces_;
  std::vector<StepSequence> sequences_;
  std::vector<StepLogitRow> logit_rows_;
  std::vector<int32_t> history_;
  std::vector<kernels::LogitBias> biases_;
};

}  // namespace spearfish::worker

#endif  // WORKER_ENGINE_STEP_BUILDER_H_
