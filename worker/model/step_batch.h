// A step's sequences as the kernels take them: flat arrays in device memory.
#ifndef WORKER_MODEL_STEP_BATCH_H_
#define WORKER_MODEL_STEP_BATCH_H_

#include <cstdint>

#include "kernels/api/kernels.h"
#include "worker/kv/kv_layout.h"
#include "worker/model/model.h"
#include "worker/model/model_options.h"
#include "worker/model/staged_memory.h"

namespace spearfish::worker {

// What a step is checked against.
struct StepLimits {
  uint32_t vocab_size = 0;
  uint32_t num_kv_blocks = 0;  // ids in block tables are below it
  KvLayout kv;                 // translates them into the ids that kernels take
  ModelOptions options;        // resolved
};

// Device addresses, valid until the StagedMemory behind them is reset. Rows are the sequences'
// tokens in order.
struct StepBatch {
  uint32_t num_rows = 0;
  uint32_t num_seqs = 0;
  // Columns of block_tables: the most that any sequence of the step has, rounded up to a power of
  // two so that few shapes of steps differ.
  uint32_t max_blocks = 0;

  const int32_t* token_ids = nullptr;     // [num_rows]
  const int32_t* positions = nullptr;     // [num_rows]
  const int64_t* slots = nullptr;         // [num_rows] where the KV cache takes them, see KvLayer
  const int32_t* query_starts = nullptr;  // [num_seqs + 1]
  const int32_t* context_lens = nullptr;  // [num_seqs]
  const int32_t* block_tables = nullptr;  // [num_seqs, max_blocks] KvLayout::PhysicalBlock

  // Logit rows in device order: first those that are sampled, then the others, each in order.
  uint32_t num_logit_rows = 0;
  uint32_t num_sampled = 0;
  const int32_t* logit_rows = nullptr;           // [num_logit_rows] numbers of rows
  const int32_t* targets = nullptr;              // [num_logit_rows], 0 where a token is sampled
  const kernels::SampleRow* sampling = nullptr;  // [num_sampled]
  uint32_t history_capacity = 0;                 // entries of history, rounded up likewise
  const int32_t* history = nullptr;
  uint32_t num_biases = 0;
  const kernels::LogitBias* biases = nullptr;
};

// Calls visit(i, d) for every logit row: number i of the input is number d in device order.
template <typename Visit>
void ForEachLogitRow(const StepInput& input, const StepBatch& batch, Visit visit) {
  uint32_t next_sampled = 0;
  uint32_t next_other = batch.num_sampled;
  for (uint32_t i = 0; i < batch.num_logit_rows; ++i) {
    visit(i, input.logit_rows[i].sample ? next_sampled++ : next_other++);
  }
}

// The most that one step can take of a StagedMemory.
uint64_t StepBatchBytes(const ModelOptions& options);

// Checks the step against the limits (a breach is a CHECK failure) and writes it into `staged`,
// which the caller then uploads. Positions follow from context_len, slots from the block tables,
// whose ids are translated.
StepBatch PackStep(const StepInput& input, const StepLimits& limits, StagedMemory& staged);

}  // namespace spearfish::worker

#endif  // WORKER_MODEL_STEP_BATCH_H_
