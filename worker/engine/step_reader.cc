#include "worker/engine/step_reader.h"

#include <algorithm>
#include <cstddef>

namespace spearfish::worker {

PositionLogprobs StepReader::Logprobs(uint32_t logit_row, uint32_t top_n) const {
  PositionLogprobs position;
  position.chosen = {output_.tokens[logit_row], output_.logprobs[logit_row]};
  position.rank = output_.ranks[logit_row];
  const uint32_t count = std::min(top_n, top_n_);
  const size_t begin = size_t{logit_row} * top_n_;
  position.top.reserve(count);
  for (size_t i = begin; i < begin + count; ++i) {
    position.top.push_back({output_.top_ids[i], output_.top_logprobs[i]});
  }
  return position;
}

ExpertUsage StepReader::Usage(const StepPiece& piece) const {
  ExpertUsage usage;
  for (uint32_t row = piece.row_begin; row < piece.row_begin + piece.num_tokens; ++row) {
    usage.hits += output_.expert_hits[row];
  }
  usage.misses = piece.num_tokens * experts_.activations_per_row - usage.hits;
  const uint64_t bytes = usage.misses * experts_.record_bytes;
  (experts_.miss_reader == MissReader::kCpu ? usage.cpu_bytes : usage.link_bytes) = bytes;
  return usage;
}

void AddUsage(const ExpertUsage& usage, ExpertUsage& sum) {
  sum.hits += usage.hits;
  sum.misses += usage.misses;
  sum.link_bytes += usage.link_bytes;
  sum.cpu_bytes += usage.cpu_bytes;
}

}  // namespace spearfish::worker
