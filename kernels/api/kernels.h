// The operations of a forward pass. Each Args struct is a contract: formula, shapes, dtypes,
// aliasing, tie-breaks. Every call enqueues on the stream and returns; pointers are device
// addresses unless said otherwise and stay valid until the work has run.
//
// Common rules
// - A = activation_dtype() of the backend (the CPU device: float32). Accumulation is float32 or
//   better. Shapes are row-major and contiguous: [rows, columns].
// - Batch invariance: the bits of a row of output depend on that row's inputs only, not on the
//   other rows, their number, the number of threads, or how a sequence was cut into steps.
// - Outputs may not alias inputs except where said. num_rows = 0 is allowed and does nothing.
// - Every buffer is at least 16-byte aligned.
// - Weights, and what describes a batch (positions, slots, query_starts, context_lens,
//   block_tables), come from copies, never from an operation: a backend may read them while the
//   operations before still run.
#ifndef KERNELS_API_KERNELS_H_
#define KERNELS_API_KERNELS_H_

#include <cstdint>

#include "common/tensor/dtype.h"
#include "kernels/api/device.h"
#include "kernels/api/expert_layout.h"

namespace spearfish::kernels {

// A weight matrix W[rows, cols] (outputs x inputs), BF16 or F32; for Linear also I8: int8 in the
// same layout, rows of cols bytes, with one scale an output:
//   W[n, k] = q[n, k] * scales[n], q from -127 to 127.
// Whoever quantises takes scales[n] = max_k |w[n, k]| / 127 and q = w / scales[n], rounded half to
// even (zeros where the scale is 0), both in float32.
struct Matrix {
  const void* data = nullptr;
  DType dtype = DType::kBF16;
  uint32_t rows = 0;
  uint32_t cols = 0;
  const float* scales = nullptr;  // [rows], I8 only
};

// out[t] = table[ids[t]].  ids [num_rows] int32, each < table.rows; out [num_rows, cols] A.
struct EmbedArgs {
  const int32_t* ids;
  Matrix table;
  void* out;
  uint32_t num_rows;
};

// With residual:  residual[t] += x[t] (written back), then v = residual[t]; else v = x[t].
// out[t] = v / sqrt(mean(v^2) + eps) * weight.
// x, residual, out [num_rows, dim] A; weight [dim] F32. out may alias x; residual may be null.
struct RmsNormArgs {
  const void* x;
  void* residual;
  const float* weight;
  void* out;
  uint32_t num_rows;
  uint32_t dim;
  float eps;
};

// out[t, n] = sum_k x[t, k] * w[n, k] + bias[n].
// x [num_rows, w.cols] A; bias [w.rows] F32 or null; out [num_rows, w.rows], A or F32 as out_dtype.
// With I8 weights out[t, n] = (sum_k x[t, k] * q[n, k]) * scales[n] + bias[n]: q is widened
// exactly, x is not quantised, the sum is float32 and scaled once.
struct LinearArgs {
  const void* x;
  Matrix weight;
  const float* bias;
  void* out;
  DType out_dtype;
  uint32_t num_rows;
};

// The paged KV cache of one layer. A block's keys (and likewise its values) are one contiguous
// [num_kv_heads, block_tokens, head_dim] A; the element i of (block b, kv head h, offset o) is at
//   k + b * block_stride + ((h * block_tokens + o) * head_dim + i) * sizeof(A).
// A block id says where a block lies, in units of block_stride bytes, a multiple of 16. The stride
// may be larger than a block's keys (other layers lie between), and smaller: then ids in use are
// that far apart that blocks don't overlap. Memory between the blocks is neither read nor written.
struct KvLayer {
  void* k;
  void* v;
  uint32_t num_blocks;  // block ids are below it
  uint32_t block_tokens;
  uint32_t num_kv_heads;
  uint32_t head_dim;
  uint64_t block_stride;  // bytes from k (v) of a block id to that of the next
};

// Splits qkv, normalises each head of q and k (RMSNorm with q_norm / k_norm), rotates them
// (RoPE, half-split pairs (i, i + D/2), angle = position * inv_freq[i]), writes q to q_out and
// k, v to the cache at slots[t] = block id * block_tokens + offset. A negative slot is not written.
// qkv [num_rows, (num_heads + 2*num_kv_heads) * head_dim] A; q_norm, k_norm [head_dim] F32 or null
// (no normalisation); positions [num_rows] int32; inv_freq [head_dim/2] F32; slots [num_rows]
// int64; q_out [num_rows, num_heads, head_dim] A. Slots of one call are distinct.
struct QkNormRopeAppendArgs {
  const void* qkv;
  const float* q_norm;
  const float* k_norm;
  float eps;
  const int32_t* positions;
  const float* inv_freq;
  const int64_t* slots;
  void* q_out;
  KvLayer kv;
  uint32_t num_rows;
  uint32_t num_heads;
};

// Causal attention over paged KV. Sequence s has the query rows [query_starts[s],
// query_starts[s+1]) and context_lens[s] tokens in the cache, these rows' included, so that row i
// of them stands at position context_lens[s] - num_queries + i and sees positions 0..its own.
// out[t, h] = softmax(q . k * scale) v, kv head = h / (num_heads / num_kv_heads); zeros for a row
// before position 0 (padding). head_dim is even and at most kMaxHeadDim of kernels/api/validate.h.
// q, out [num_rows, num_heads, head_dim] A; query_starts [num_seqs + 1] int32, context_lens
// [num_seqs] int32; block_tables [num_seqs, max_blocks] int32: block ids in order of position.
// Keys and values before a sequence's own rows are of earlier steps: a backend may read them while
// the operations before still run. workspace: AttentionWorkspaceBytes, null for none.
struct AttentionArgs {
  const void* q;
  KvLayer kv;
  const int32_t* query_starts;
  const int32_t* context_lens;
  const int32_t* block_tables;
  void* out;
  float scale;
  uint32_t num_rows;
  uint32_t num_seqs;
  uint32_t max_blocks;
  uint32_t num_heads;
  void* workspace = nullptr;
};

// Of the calls that a workspace shall serve, the most of each.
struct AttentionShape {
  uint32_t num_rows;
  uint32_t max_keys;  // max_blocks * block_tokens
  uint32_t num_heads;
  uint32_t num_kv_heads;
  uint32_t head_dim;
};

// logits = x . gate^T (float32), p = softmax(logits) over all experts, the k largest p in
// descending order (ties: the lower expert id first), weights = p, divided by their sum if
// normalize. Adds 1 to activation_counts[expert] per choice (null: not counted).
// x [num_rows, gate.cols] A; expert_ids [num_rows, k] int32; expert_weights [num_rows, k] F32;
// activation_counts [gate.rows] uint32. k <= gate.rows.
struct RouterTopkArgs {
  const void* x;
  Matrix gate;
  uint32_t k;
  bool normalize;
  int32_t* expert_ids;
  float* expert_weights;
  uint32_t* activation_counts;
  uint32_t num_rows;
};

// out[t] = sum_i expert_weights[t, i] * Expert(expert_ids[t, i], x[t]), i in order,
// Expert(e, x) = W2 (silu(W1 x) * (W3 x)) summed over the record's slices in order, gate = W1,
// up = W3. address_table[e] is the device address of expert e's record (a slot, or the record in
// the mapped cache); it is read when the work runs. x, out [num_rows, hidden] A.
// workspace: MoeWorkspaceBytes(layout, num_rows, k) bytes. A backend may quantise activations to
// 16-bit integers per group of inputs (relative error below 2^-15 of the group's largest).
struct MoeArgs {
  const void* x;
  const int32_t* expert_ids;
  const float* expert_weights;
  const uint64_t* address_table;  // [num_experts]
  ExpertLayout layout;
  uint32_t num_experts;
  uint32_t k;
  void* out;
  void* workspace;
  uint32_t num_rows;
};

// out[t, i] = silu(gate_up[t, i]) * gate_up[t, dim + i].  gate_up [num_rows, 2*dim], out
// [num_rows, dim], both A.
struct SiluMulArgs {
  const void* gate_up;
  void* out;
  uint32_t num_rows;
  uint32_t dim;
};

// out[i] = x[rows[i]].  x [*, dim] A; rows [num_rows] int32; out [num_rows, dim] A.
struct GatherRowsArgs {
  const void* x;
  const int32_t* rows;
  void* out;
  uint32_t num_rows;
  uint32_t dim;
};

// How to choose one row's token. Lives in device memory; trivially copyable.
struct SampleRow {
  float temperature = 0.0f;        // 0: argmax (ties: lower id); the filters below are then ignored
  float top_p = 1.0f;              // smallest set of most likely tokens whose mass reaches top_p
  float min_p = 0.0f;              // tokens below min_p * (largest probability) are dropped
  uint32_t top_k = 0;              // 0: all
  float presence_penalty = 0.0f;   // subtracted once from tokens that were generated
  float frequency_penalty = 0.0f;  // subtracted per occurrence among the generated
  float repetition_penalty = 1.0f;  // logit > 0: divided, else multiplied; prompt and generated
  uint32_t history_begin = 0;       // into SampleArgs::history: prompt, then generated tokens
  uint32_t num_prompt = 0;
  uint32_t num_generated = 0;
  uint32_t bias_begin = 0;  // into SampleArgs::biases
  uint32_t num_biases = 0;
  uint64_t seed = 0;
  uint64_t counter = 0;  // index of the token in its sequence: with seed, fixes the random number
};

struct LogitBias {
  uint32_t token;
  float bias;  // added; -infinity bans the token
};

// Order: repetition, frequency and presence penalties, biases, then argmax; or / temperature,
// top-k, top-p (over what top-k left, renormalised), min-p, and one draw: the smallest token in
// descending order of probability (ties: lower id) whose cumulative mass exceeds u * total mass,
// u = UniformDouble(seed, counter) of kernels/api/philox.h. A token whose logit is NaN or infinite,
// at first or after the adjustments, is never chosen; if no token is left finite, token 0. History
// and biases outside the vocabulary are ignored. The most likely token passes every filter.
// logits [num_rows, vocab] F32, read only; out_tokens [num_rows] int32.
// workspace: SampleWorkspaceBytes(num_rows, vocab).
struct SampleArgs {
  const float* logits;
  const SampleRow* rows;
  const int32_t* history;
  const LogitBias* biases;
  int32_t* out_tokens;
  void* workspace;
  uint32_t num_rows;
  uint32_t vocab;
};

// Log-probabilities of the raw logits (before penalties and temperature), float64 log-sum-exp.
// token_logprobs[r] = logits[r, tokens[r]] - logsumexp(logits[r]); ranks[r] = number of tokens with
// a strictly larger logit; the top_n largest in descending order (ties: lower id) to top_ids and
// top_logprobs [num_rows, top_n] (null when top_n is 0). The sum runs over the finite logits; NaN
// ranks as -infinity; without a finite logit the log-probabilities are NaN.
struct LogProbsArgs {
  const float* logits;  // [num_rows, vocab]
  const int32_t* tokens;
  float* token_logprobs;
  int32_t* ranks;
  int32_t* top_ids;
  float* top_logprobs;
  uint32_t num_rows;
  uint32_t vocab;
  uint32_t top_n;
};

// Stateless apart from what it owns for running (thread pool, handles): calls on different streams
// may run at the same time. The Device must outlive it.
class Kernels {
 public:
  virtual ~Kernels() = default;

  virtual DType activation_dtype() const = 0;
  virtual uint64_t MoeWorkspaceBytes(const ExpertLayout& layout, uint32_t num_rows,
                                     uint32_t k) const = 0;
  virtual uint64_t AttentionWorkspaceBytes(const AttentionShape& shape) const = 0;
  virtual uint64_t SampleWorkspaceBytes(uint32_t num_rows, uint32_t vocab) const = 0;

  virtual void Embed(const EmbedArgs& args, Stream& stream) = 0;
  virtual void RmsNorm(const RmsNormArgs& args, Stream& stream) = 0;
  virtual void Linear(const LinearArgs& args, Stream& stream) = 0;
  virtual void QkNormRopeAppend(const QkNormRopeAppendArgs& args, Stream& stream) = 0;
  virtual void Attention(const AttentionArgs& args, Stream& stream) = 0;
  virtual void RouterTopk(const RouterTopkArgs& args, Stream& stream) = 0;
  virtual void Moe(const MoeArgs& args, Stream& stream) = 0;
  virtual void SiluMul(const SiluMulArgs& args, Stream& stream) = 0;
  virtual void GatherRows(const GatherRowsArgs& args, Stream& stream) = 0;
  virtual void Sample(const SampleArgs& args, Stream& stream) = 0;
  virtual void LogProbs(const LogProbsArgs& args, Stream& stream) = 0;
};

}  // namespace spearfish::kernels

#endif  // KERNELS_API_KERNELS_H_
