#include "kernels/cpu/sample.h"

#include <cmath>
#include <span>

#include "common/base/bytes.h"
#include "kernels/api/philox.h"
#include "kernels/cpu/logit_adjustment.h"
#include "kernels/cpu/row_blocks.h"
#include "kernels/cpu/token_draw.h"
#include "kernels/cpu/vocab_scan.h"

namespace spearfish::kernels {
namespace {

// One row's part of the workspace: adjusted logits [vocab] F32, then scratch ids [vocab].
uint64_t ArrayBytes(uint32_t vocab) { return AlignUp(uint64_t{vocab} * sizeof(float), 64); }

uint32_t Argmax(std::span<const float> logits) {
  const float max = LargestFinite(logits);
  return std::isinf(max) ? 0 : static_cast<uint32_t>(FindEqual(logits, max));
}

uint32_t SampleToken(const SampleArgs& args, uint32_t index) {
  const SampleRow& row = args.rows[index];
  const std::span<const float> raw(args.logits + size_t{index} * args.vocab, args.vocab);
  const bool greedy = !(row.temperature > 0.0f);
  if (greedy && !NeedsAdjustment(row)) return Argmax(raw);

  const uint64_t array_bytes = ArrayBytes(args.vocab);
  std::byte* memory = static_cast<std::byte*>(args.workspace) + index * 2 * array_bytes;
  const std::span<float> logits(reinterpret_cast<float*>(memory), args.vocab);
  auto* scratch = reinterpret_cast<uint32_t*>(memory + array_bytes);
  CopyFinite(raw, logits);
  AdjustLogits(args, row, logits, scratch);
  if (greedy) return Argmax(logits);
  return DrawToken(logits, row, UniformDouble(row.seed, row.counter), scratch);
}

}  // namespace

uint64_t SampleCpuWorkspaceBytes(uint32_t num_rows, uint32_t vocab) {
  return num_rows * 2 * ArrayBytes(vocab);
}

void SampleCpu(const SampleArgs& args, ThreadPool& pool) {
  ForEachRow(pool, args.num_rows, uint64_t{2} * args.vocab, [&](uint32_t row) {
    args.out_tokens[row] = static_cast<int32_t>(SampleToken(args, row));
  });
}

}  // namespace spearfish::kernels
