// Reads what a step gave for its sequences.
#ifndef WORKER_ENGINE_STEP_READER_H_
#define WORKER_ENGINE_STEP_READER_H_

#include <cstdint>

#include "worker/engine/engine.h"
#include "worker/engine/request.h"
#include "worker/engine/step_builder.h"
#include "worker/model/model.h"

namespace spearfish::worker {

// What turns a row's hits into misses and bytes.
struct ExpertAccounting {
  uint64_t activations_per_row = 0;  // MoE layers x experts per token
  uint64_t record_bytes = 0;
  MissReader miss_reader = MissReader::kCpu;
};

// A view of one step; input and output must outlive it.
class StepReader {
 public:
  StepReader(const StepInput& input, const StepOutput& output, const ExpertAccounting& experts)
      : top_n_(input.top_n), output_(output), experts_(experts) {}

  TokenId token(uint32_t logit_row) const { return output_.tokens[logit_row]; }

  // Of a step that was asked for log-probabilities. The step's top_n is that of its most demanding
  // request: at most `top_n` are taken.
  PositionLogprobs Logprobs(uint32_t logit_row, uint32_t top_n) const;

  // Of all rows of a piece.
  ExpertUsage Usage(const StepPiece& piece) const;

 private:
  const uint32_t top_n_;
  const StepOutput& output_;
  const ExpertAccounting& experts_;
};

void AddUsage(const ExpertUsage& usage, ExpertUsage& sum);

}  // namespace spearfish::worker

#endif  // WORKER_ENGINE_STEP_READER_H_
