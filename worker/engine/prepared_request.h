// A request that has passed validation, with everything its sequences share.
#ifndef WORKER_ENGINE_PREPARED_REQUEST_H_
#define WORKER_ENGINE_PREPARED_REQUEST_H_

#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "common/base/ids.h"
#include "kernels/api/kernels.h"
#include "worker/engine/request.h"
#include "worker/engine/stop_matcher.h"
#include "worker/engine/validate_request.h"

namespace spearfish::worker {

// Built on the thread that submits, which spares the engine thread the tables; immutable after.
class PreparedRequest {
 public:
  // `request` has passed ValidateRequest with the same limits. eos_ids: below the vocabulary size.
  PreparedRequest(GenerationRequest request, const RequestLimits& limits,
                  std::span<const TokenId> eos_ids);

  const GenerationRequest& request() const { return request_; }
  uint32_t num_prompt_tokens() const { return static_cast<uint32_t>(request_.prompt.size()); }
  uint32_t max_tokens() const { return max_tokens_; }
  const StopStrings& stop_strings() const { return stop_strings_; }
  // Of sequence `index`; empty for a new request.
  std::span<const TokenId> resumed_tokens(uint32_t index) const {
    if (request_.resumed.empty()) return {};
    return request_.resumed[index].generated;
  }
  bool finished_before(uint32_t index) const {
    return !request_.resumed.empty() && request_.resumed[index].finished;
  }

  // Whether sequences have to follow their text: it is asked for, or stop strings look at it.
  bool needs_text() const { return request_.output.text || !stop_strings_.empty(); }
  // Whether a penalty looks at the tokens so far.
  bool needs_history() const;

  // What ends a sequence after its token number `index` (from 0) was `id`: a stop token, or the
  // end-of-sequence token unless ignored; neither below min_tokens.
  using StopMatch = std::variant<std::monostate, StopTokenMatch, EosTokenMatch, StopStringMatch>;
  StopMatch MatchStopId(TokenId id, uint32_t index) const;

  // For choosing token number `index`: the client's, and -infinity for all that MatchStopId would
  // stop at, below min_tokens. Each token once.
  std::span<const kernels::LogitBias> BiasesFor(uint32_t index) const;

 private:
  const GenerationRequest request_;
  const uint32_t max_tokens_;
  const StopStrings stop_strings_;
  std::vector<TokenId> eos_ids_;                    // sorted; none when ignored
  std::vector<TokenId> stop_ids_;                   // sorted
  std::vector<kernels::LogitBias> biases_;          // from min_tokens on
  std::vector<kernels::LogitBias> no_stop_biases_;  // before; empty when min_tokens is 0
};

}  // namespace spearfish::worker

#endif  // WORKER_ENGINE_PREPARED_REQUEST_H_
