#include "kernels/cpu/logit_adjustment.h"

#include <cmath>
#include <limits>

namespace spearfish::kernels {
namespace {

// A token's count: occurrences among the generated, and a bit for having been seen at all.
constexpr uint32_t kSeen = uint32_t{1} << 31;

bool HasPenalties(const SampleRow& row) {
  return row.presence_penalty != 0.0f || row.frequency_penalty != 0.0f ||
         row.repetition_penalty != 1.0f;
}

float FiniteOrBanned(float logit) {
  return std::isfinite(logit) ? logit : -std::numeric_limits<float>::infinity();
}

float Penalized(float logit, const SampleRow& row, uint32_t num_generated) {
  if (row.repetition_penalty != 1.0f) {
    logit = logit > 0.0f ? logit / row.repetition_penalty : logit * row.repetition_penalty;
  }
  if (num_generated > 0) {
    logit -= row.frequency_penalty * static_cast<float>(num_generated);
    logit -= row.presence_penalty;
  }
  return FiniteOrBanned(logit);
}

// Calls `visit(token, is_generated)` for every history token inside the vocabulary.
template <typename Visit>
void ForHistory(const SampleArgs& args, const SampleRow& row, const Visit& visit) {
  const int32_t* history = args.history + row.history_begin;
  const uint32_t length = row.num_prompt + row.num_generated;
  for (uint32_t i = 0; i < length; ++i) {
    const auto token = static_cast<uint32_t>(history[i]);
    if (token < args.vocab) visit(token, i >= row.num_prompt);
  }
}

// Three walks over the history, none over the vocabulary: clear, count, apply once a token.
void ApplyPenalties(const SampleArgs& args, const SampleRow& row, std::span<float> logits,
                    uint32_t* counts) {
  ForHistory(args, row, [&](uint32_t token, bool) { counts[token] = kSeen; });
  ForHistory(args, row, [&](uint32_t token, bool generated) { counts[token] += generated; });
  ForHistory(args, row, [&](uint32_t token, bool) {
    if (counts[token] == 0) return;
    logits[token] = Penalized(logits[token], row, counts[token] & ~kSeen);
    counts[token] = 0;
  });
}

}  // namespace

bool NeedsAdjustment(const SampleRow& row) {
  return row.num_biases != 0 ||
         (HasPenalties(row) && (row.num_prompt != 0 || row.num_generated != 0));
}

void AdjustLogits(const SampleArgs& args, const SampleRow& row, std::span<float> logits,
                  uint32_t* counts) {
  if (HasPenalties(row)) ApplyPenalties(args, row, logits, counts);
  for (uint32_t i = 0; i < row.num_biases; ++i) {
    const LogitBias& bias = args.biases[row.bias_begin + i];
    if (bias.token >= args.vocab) continue;
    logits[bias.token] = FiniteOrBanned(logits[bias.token] + bias.bias);
  }
}

}  // namespace spearfish::kernels
