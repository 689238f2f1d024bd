#include "worker/engine/prepared_request.h"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

namespace spearfish::worker {
namespace {

std::vector<TokenId> Sorted(std::span<const TokenId> ids) {
  std::vector<TokenId> sorted(ids.begin(), ids.end());
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  return sorted;
}

bool Contains(const std::vector<TokenId>& sorted, TokenId id) {
  return std::binary_search(sorted.begin(), sorted.end(), id);
}

std::vector<kernels::LogitBias> ToBiases(const std::map<TokenId, float>& bias_of) {
  std::vector<kernels::LogitBias> biases;
  biases.reserve(bias_of.size());
  for (const auto& [token, bias] : bias_of) biases.push_back({token, bias});
  return biases;
}

}  // namespace

PreparedRequest::PreparedRequest(GenerationRequest request, const RequestLimits& limits,
                                 std::span<const TokenId> eos_ids)
    : request_(std::move(request)),
      max_tokens_(ResolvedMaxTokens(request_, limits)),
      stop_strings_(request_.stopping.stop_strings),
      stop_ids_(Sorted(request_.stopping.stop_token_ids)),
      biases_(ToBiases(request_.sampling.logit_bias)) {
  if (!request_.stopping.ignore_eos) eos_ids_ = Sorted(eos_ids);
  if (request_.stopping.min_tokens == 0) return;
  std::map<TokenId, float> banning = request_.sampling.logit_bias;
  for (const auto* ids : {&eos_ids_, &stop_ids_}) {
    for (const TokenId id : *ids) banning[id] = -std::numeric_limits<float>::infinity();
  }
  no_stop_biases_ = ToBiases(banning);
}

bool PreparedRequest::needs_history() const {
  const SamplingParams& sampling = request_.sampling;
  return sampling.presence_penalty != 0 || sampling.frequency_penalty != 0 ||
         sampling.repetition_penalty != 1;
}

PreparedRequest::StopMatch PreparedRequest::MatchStopId(TokenId id, uint32_t index) const {
  if (index < request_.stopping.min_tokens) return std::monostate();
  if (Contains(stop_ids_, id)) return StopTokenMatch{id};
  if (Contains(eos_ids_, id)) return EosTokenMatch{id};
  return std::monostate();
}

std::span<const kernels::LogitBias> PreparedRequest::BiasesFor(uint32_t index) const {
  return index < request_.stopping.min_tokens ? no_stop_biases_ : biases_;
}

}  // namespace spearfish::worker
