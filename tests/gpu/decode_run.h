// Decode steps of a model with everything resident, one after the other, without an engine.
#ifndef TESTS_GPU_DECODE_RUN_H_
#define TESTS_GPU_DECODE_RUN_H_

#include <cstdint>
#include <vector>

#include "common/base/ids.h"
#include "common/tensor/dtype.h"
#include "worker/kv/block_allocator.h"
#include "worker/kv/block_table.h"
#include "worker/model/qwen3_moe_model.h"

namespace spearfish::gpu {

// Bytes that a decode step cannot but read, each once.
struct StepBytes {
  double dense = 0;    // all weights on the device that are no experts; the embedding is elsewhere
  double experts = 0;  // records of the experts chosen by at least one row
  double kv = 0;

  double sum() const { return dense + experts + kv; }
};

// Owns the sequences; the model must outlive it. Tokens are greedy.
class DecodeRun {
 public:
  // Computes prompts of `context` random tokens, `batch` of them, in chunks.
  // The model computes with activations of that type.
  DecodeRun(worker::Qwen3MoeModel& model, DType activations, uint32_t batch, uint32_t context);

  // One token of each sequence; the step's wall milliseconds.
  double Step();
  // Of the last step.
  StepBytes Bytes() const;

 private:
  struct Sequence {
    worker::BlockTable blocks;
    std::vector<TokenId> tokens;
    uint32_t num_computed = 0;
  };
  void Compute(std::vector<Sequence*> sequences, uint32_t num_tokens);

  worker::Qwen3MoeModel& model_;
  const DType activations_;
  worker::BlockAllocator allocator_;
  std::vector<Sequence> sequences_;
  worker::StepOutput output_;
};

}  // namespace spearfish::gpu

#endif  // TESTS_GPU_DECODE_RUN_H_
